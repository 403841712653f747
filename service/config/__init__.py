"""Settings, API keys and checks at start."""
