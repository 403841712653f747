"""Builds on the machines of a Ray cluster."""
