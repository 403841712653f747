"""Contexts and answers made of passages, for language models and readers."""
