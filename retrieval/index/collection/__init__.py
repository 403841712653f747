"""Open the generations of a collection."""
