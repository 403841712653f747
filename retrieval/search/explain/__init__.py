"""Explain why a passage matched."""
