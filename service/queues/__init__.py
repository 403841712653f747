"""Bounded queues for encoding, searching, reranking and changes."""
