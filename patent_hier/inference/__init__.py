"""Classification of new texts with finished results."""
