"""Attendex, the library: everything needed to open a collection and rank it."""
