"""The processes of a Ray cluster that rank the shards of a served collection."""
