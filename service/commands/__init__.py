"""Commands that serve, and everything mounted as `attendex`."""
