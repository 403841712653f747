"""`make demo`: index, evaluate and serve the standard library's documentation."""
