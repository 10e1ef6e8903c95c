"""What a model reads: token ids and their vocabulary."""
