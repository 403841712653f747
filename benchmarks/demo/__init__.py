"""`make demo`: the documentation of Python's standard library, indexed, evaluated and served."""
