"""Attendex, online: collections over HTTP, the search page and the Python client."""

__version__ = "0.1.0"
