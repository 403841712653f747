"""Parse documents; one file a format."""
