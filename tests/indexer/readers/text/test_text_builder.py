"""The builder of texts: sections and metadata."""

from __future__ import annotations

from indexer.readers.text.text_builder import TextBuilder


def test_blocks_keep_their_sections() -> None:
    builder = TextBuilder("T")
    builder.block("before")
    builder.location("p. 1")
    builder.heading(2, "H\ud800\x00")
    builder.rows([["a", ""], ["", ""], ["b\n", "c"]])
    parsed = builder.build(author=None, pages=1.0)
    assert parsed.text == "before\n\nH\n\na | \nb | c".replace("| \n", "|\n")
    assert [(s.start, s.location) for s in parsed.sections] == [(0, ""), (8, "p. 1")]
    assert parsed.metadata == {"pages": 1.0}
