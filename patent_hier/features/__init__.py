"""Features that models read: word pieces, words with vectors, counts of character n-grams, and their stores."""
