"""Reading what people bring: tables of any format, encoding and compression, row by row in flat memory."""
