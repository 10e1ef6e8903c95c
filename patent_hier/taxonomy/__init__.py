"""Classification schemes: how their symbols are spelled, the tree of their labels, and arithmetic on that tree."""
