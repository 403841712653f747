"""The transformer over packed sequences."""
