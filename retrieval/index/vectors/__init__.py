"""Stored vectors, exact search and FAISS indexes."""
