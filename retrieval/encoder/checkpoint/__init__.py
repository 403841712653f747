"""Read model folders: configuration, weights, fingerprint."""
