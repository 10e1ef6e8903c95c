"""Read users' tables in any supported format, encoding and compression, row by row in constant memory."""
