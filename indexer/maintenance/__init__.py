"""Keep a collection in order: verify, merge, roll back, re-embed, back up."""
