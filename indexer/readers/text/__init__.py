"""Text: decode it, detect its language, restore its paragraphs, and build documents of it."""
