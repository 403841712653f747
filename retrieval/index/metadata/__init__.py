"""Typed metadata: schema, filters, facets."""
