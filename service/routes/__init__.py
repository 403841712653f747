"""HTTP handlers, one file a dialect."""
