"""Encoders behind a URL: OpenAI-compatible services, TEI, Ollama."""
