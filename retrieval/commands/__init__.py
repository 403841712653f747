"""Commands that read a collection; one file a command."""
