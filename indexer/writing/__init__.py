"""Write a collection: lock, segments, commit, garbage collection."""
