"""Read documents; `opening.py` is the entry point.

The service imports parts of this package: it imports no module itself.
"""
