"""Models whose weights are a lower-level variable: flat vectors in, exact derivatives out."""
