"""The HTTP server: limits, authentication, shutdown."""
