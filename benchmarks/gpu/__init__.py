"""One check of everything that needs a GPU, in the minutes for which one is lent; rehearsed on a CPU at tiny size."""
