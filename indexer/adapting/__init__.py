"""Adapting an encoder to a collection: pairs, training, and the guard."""
