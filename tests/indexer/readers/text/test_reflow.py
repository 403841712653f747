"""Running text of printed pages: edges, split words, paragraphs."""

from __future__ import annotations

import pytest

from indexer.readers.text.reflow import join_paragraphs, join_words, remove_repeated_edges, vocabulary


def test_repeated_edges_are_removed() -> None:
    bodies = ["one apple\nis red", "two pears\nare green", "no plums\nare left", "figs\nand dates"]
    pages = [f"Journal of Tests {n}\n{body}\n{n}" for n, body in enumerate(bodies, start=3)]
    assert remove_repeated_edges(pages) == bodies
    assert remove_repeated_edges(["only\npage"]) == ["only\npage"]


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("an ef\ufffeficient way", "an efficient way"),
        ("retrie-\nval works", "retrieval works"),
        ("a Lucene\ufffeBM25 system", "a Lucene-BM25 system"),
        ("a dual-encoder; the dual\ufffeencoder", "a dual-encoder; the dual-encoder"),
        ("minus -\n1", "minus -\n1"),
    ],
)
def test_split_words(text: str, joined: str) -> None:
    assert join_words(text, vocabulary([text])) == joined


def test_paragraphs() -> None:
    lines = [
        "This is a long line of a paragraph that",
        "goes on and ends.",
        "The next one begins on its own line",
        "• item",
    ]
    expected = (
        "This is a long line of a paragraph that goes on and ends.\n\nThe next one begins on its own line\n• item"
    )
    assert join_paragraphs("\n".join(lines)) == expected
