"""Files of a collection: manifest, checksums, array headers."""
