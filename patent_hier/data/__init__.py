"""From the raw CSV to a clean corpus and its split."""
