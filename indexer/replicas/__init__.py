"""Copies of generations: published to an object store, followed by machines."""
