"""Finished results applied to new texts."""
