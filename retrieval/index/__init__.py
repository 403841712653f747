"""The files of a collection; each module owns one format, in both directions."""
