"""Scores of single nodes and of the whole hierarchy."""
