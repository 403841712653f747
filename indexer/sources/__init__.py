"""Find the files of a source: paths, folders and web pages."""
