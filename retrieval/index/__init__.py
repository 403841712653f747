"""What a generation is made of; each file owns one on-disk format in both directions."""
