"""The paper's Figure 5: attention between two texts, as a page and a figure."""
