"""Find the files to read: folders, archives, compressed streams, web addresses."""
