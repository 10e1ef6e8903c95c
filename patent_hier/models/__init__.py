"""Encoders and classifiers in plain PyTorch, without Lightning."""
