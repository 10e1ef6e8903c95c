"""Encoders and classifiers; plain PyTorch, no Lightning."""
