"""Estimate the disk, memory and hours that training on a corpus takes, from recorded speeds."""
