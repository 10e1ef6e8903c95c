"""Check everything that needs a GPU within a few minutes; a tiny size rehearses the check on a CPU."""
