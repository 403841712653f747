"""Test token ids, offsets and the encoder's limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer

MakeFolder = Callable[..., Path]  # the fixture of conftest.py

LIMIT = 256


@pytest.fixture(scope="module")
def tokenizer(default_folder: Path) -> TextTokenizer:
    return TextTokenizer(open_folder(default_folder))


@pytest.fixture(scope="module")
def theirs(default_folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(str(default_folder))


@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_ids_equal_transformers(text: str, tokenizer: TextTokenizer, theirs: PreTrainedTokenizerBase) -> None:
    assert tokenizer.ids([text])[0] == theirs(text, truncation=True, max_length=LIMIT)["input_ids"]


@pytest.mark.parametrize(
    "text",
    [
        "word " * 5_000,
        "government " * 500,
        "responsibilities " * 500,
        "x" * 100_000,
        " " * 50_000 + "late words",
        "a" * 6_000 + " then words " * 900,
        "東京" * 9_000,
    ],
    ids=["words", "longer words", "long words", "one word", "spaces first", "long word first", "no spaces"],
)
def test_cutting_long_texts_early_changes_nothing(
    text: str, tokenizer: TextTokenizer, theirs: PreTrainedTokenizerBase
) -> None:
    assert tokenizer.ids([text])[0] == theirs(text, truncation=True, max_length=LIMIT)["input_ids"]


def test_spans_are_code_points_and_uncut(tokenizer: TextTokenizer) -> None:
    text = "🙂 Ångström units — " + "words " * 400
    spans = tokenizer.spans(text)
    assert spans.shape == (len(spans), 2)
    pieces = [text[start:end] for start, end in spans]
    assert "units" in pieces
    assert pieces.count("words") == 400
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    assert tokenizer.spans("").shape == (0, 2)


def test_max_tokens_leaves_out_special_tokens_and_prompts(make_folder: MakeFolder, tokenizer: TextTokenizer) -> None:
    assert tokenizer.max_tokens == LIMIT - 2
    prompted = make_folder(outer={"prompts": {"query": "query: ", "passage": "one two three four five"}})
    assert TextTokenizer(open_folder(prompted)).max_tokens == 64 - 2 - 5


def test_a_folder_with_a_vocabulary_alone(make_folder: MakeFolder, tokenizer: TextTokenizer) -> None:
    folder = make_folder(own={"max_seq_length": LIMIT})
    (folder / "tokenizer.json").unlink()
    old = TextTokenizer(open_folder(folder))
    texts = ["Plain WORDS, naïve café", "unaffable 東京"]
    assert old.ids(texts) == tokenizer.ids(texts)
