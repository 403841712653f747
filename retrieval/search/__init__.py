"""Where encoder and index meet: retrieve, fuse, group, explain."""
