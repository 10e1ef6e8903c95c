"""Fitting one node, and pre-training an encoder, with PyTorch Lightning."""
