"""From the rows of raw files to a clean corpus and its split."""
