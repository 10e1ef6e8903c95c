"""What the report says, part by part; each part is a function from the context to blocks of the page."""
