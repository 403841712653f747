"""The inverted index and BM25."""
