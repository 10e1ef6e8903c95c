"""Cleaning of raw patent files into a corpus, and the split of that corpus."""
