"""One node from data to result folder, and the suite of nine."""
