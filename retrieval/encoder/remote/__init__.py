"""Encoders behind a URL: OpenAI-compatible services, Text Embeddings Inference, Ollama."""
