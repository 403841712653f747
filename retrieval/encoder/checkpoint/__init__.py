"""Read model folders: configuration, tokenizer, weights, fingerprint."""
