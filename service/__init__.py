"""Attendex, online: collections served over HTTP, the search page and the Python client."""
