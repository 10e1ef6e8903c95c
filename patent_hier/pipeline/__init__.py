"""From raw data to result folders: single nodes, and all nodes of a hierarchical system."""
