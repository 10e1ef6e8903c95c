"""Scores of one node and of the whole hierarchy."""
