"""Build a generation from documents: read, chunk, encode, write."""
