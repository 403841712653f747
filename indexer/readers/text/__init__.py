"""Decode text, detect its language, restore paragraphs, build documents."""
