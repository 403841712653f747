"""Decode text, restore paragraphs, build documents."""
