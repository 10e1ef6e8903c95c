"""HTTP service for a finished system, with a web page for examiners. Requires the extra ``web``."""
