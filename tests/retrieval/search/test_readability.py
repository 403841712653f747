"""Texts that the default encoder can and cannot read, and the weight they give."""

from __future__ import annotations

import pytest

from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.search.readability import Readability, dense_weight


@pytest.fixture(scope="module")
def readability() -> Readability:
    return Readability(load_encoder(DEFAULT).tokenizer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123 !?",
        "plain English",
        "naïve café résumé",
        "Größe übermäßig",
        "β-catenin and TGF-α",
        "rohypnol HbA1c",
        "😀 hi",
    ],
)
def test_readable(readability: Readability, text: str) -> None:
    assert readability.unreadable_share(text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "谁可以成为个体工商户？",
        "что такое машинное обучение",
        "한국어 문장입니다",
        "สวัสดีครับ",
        "مرحبا بالعالم",
        "Ποιος είναι",
    ],
)
def test_unreadable(readability: Readability, text: str) -> None:
    assert readability.unreadable_share(text) > 0.9


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("words", True),
        ("7", True),
        ("β", True),
        ("中", True),
        ("户", False),
        ("€", True),
        ("!? -", False),
        ("😀", False),
        ("\u200f", False),
    ],
)
def test_text_with_a_known_token(readability: Readability, text: str, known: bool) -> None:
    assert readability.can_encode(text) == known


def test_a_mixed_text_counts_its_letters(readability: Readability) -> None:
    assert readability.unreadable_share("машинное learning") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("asked", "tuned", "query", "collection", "weight", "reason"),
    [
        (0.2, 0.5, 1.0, 1.0, 0.2, "as requested"),
        (None, None, 0.0, None, 0.7, "the default of 0.7"),
        (None, 0.5, 0.0, 0.001, 0.5, "tuned for this collection, 0.5"),
        (None, None, 1.0, 0.0, 0.0, "the default of 0.7, lowered: the encoder cannot read 100% of the query"),
        (None, None, 0.5, 0.5, 0.175, "cannot read 50% of the query and 50% of the collection"),
    ],
)
def test_weights(
    asked: float | None, tuned: float | None, query: float, collection: float | None, weight: float, reason: str
) -> None:
    chosen = dense_weight(asked, tuned, 0.7, query, collection)
    assert chosen.value == pytest.approx(weight)
    assert reason in chosen.reason
