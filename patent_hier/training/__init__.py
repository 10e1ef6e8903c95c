"""Fitting one node with PyTorch Lightning."""
