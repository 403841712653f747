"""Marked words and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.search.explain.highlight import matched_words, nearest_sentences
from retrieval.types import Vectors

ENGLISH = Analyzer("english")


class LengthEncoder:
    """Nearest to (1, 0) is the longest text."""

    dimension = 2
    tokenizer = None

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


@pytest.mark.parametrize(
    ("words", "text", "marked"),
    [
        ("running models", "A model runs. Run it!", ["model", "runs", "Run"]),
        ("str.rstrip", "Call str.rstrip or other", ["str.rstrip"]),
        ("camel", "camelCase and Camels", ["camelCase", "Camels"]),
        ("个体户", "每个体户的", ["个体户"]),
        ("ガ", "ｶﾞｷﾞ", ["ｶﾞ"]),
        ("nothing", "of the sort", []),
    ],
)
def test_words_that_share_a_term_are_marked(words: str, text: str, marked: list[str]) -> None:
    (spans,) = matched_words(ENGLISH, set(ENGLISH.terms(ENGLISH.split(words))), [text])
    assert [text[start:end] for start, end in spans] == marked


def test_the_nearest_sentence_is_marked() -> None:
    texts = ["Short one. A much longer sentence, v. 2.5 of it! End.", "Only one sentence.", "", "一句。二句比较长。三"]
    spans = nearest_sentences(LengthEncoder(), np.array([1.0, 0.0], dtype=np.float32), texts)  # type: ignore[arg-type]
    marked = [[text[start:end] for start, end in some] for text, some in zip(texts, spans, strict=True)]
    assert marked == [["A much longer sentence, v."], [], [], ["二句比较长。"]]


@given(st.text(max_size=60), st.text(max_size=60))
def test_spans_are_in_order_and_within_the_text(words: str, text: str) -> None:
    (spans,) = matched_words(ENGLISH, set(ENGLISH.terms(ENGLISH.split(words))), [text])
    flat = [place for span in spans for place in span]
    assert flat == sorted(flat)
    assert all(0 <= start < end <= len(text) for start, end in spans)
