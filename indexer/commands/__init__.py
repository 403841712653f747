"""Commands that write a collection; one file a command."""
