"""A finished system over HTTP, and a page for examiners. Needs the extra ``web``."""
