"""Classification schemes: the spelling of their symbols, the label tree, and arithmetic on that tree."""
