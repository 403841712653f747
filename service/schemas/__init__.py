"""Wire types, one file a dialect."""
