"""Designs for all pairs at once: each turns subsets into embeddings or tiles that are read once for every pair."""
