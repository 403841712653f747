"""Attendex, offline: documents in, a committed generation of a collection out."""
