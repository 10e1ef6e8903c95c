"""Input features of the models: word pieces, words with vectors, character n-gram counts, and their stores."""
