"""Open collections, encoders and caches of a running service."""
