"""The transformer model, over packed sequences or rows of tokens."""
