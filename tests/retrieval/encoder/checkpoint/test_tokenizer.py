"""Test token ids, offsets and the encoder's limit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.errors import EncoderError

MakeFolder = Callable[..., Path]  # the fixture of conftest.py

LIMIT = 256
LONG_TEXTS = {
    "words": "word " * 5_000,
    "longer words": "government " * 500,
    "long words": "responsibilities " * 500,
    "one word": "x" * 100_000,
    "spaces first": " " * 50_000 + "late words",
    "long word first": "a" * 6_000 + " then words " * 900,
    "no spaces": "東京" * 9_000,
}


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


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_cutting_long_texts_early_changes_nothing(
    text: str, tokenizer: TextTokenizer, theirs: PreTrainedTokenizerBase
) -> None:
    assert tokenizer.ids([text])[0] == theirs(text, truncation=True, max_length=LIMIT)["input_ids"]


@pytest.mark.parametrize("text", [*LONG_TEXTS.values(), "word " * 254, "word " * 255, "", "x " * 3 + " " * 9_000])
def test_texts_that_exceed_the_limit(text: str, tokenizer: TextTokenizer) -> None:
    assert tokenizer.exceeds_limit(text) == (len(tokenizer.spans(text)) > tokenizer.max_tokens)


def test_a_long_text_is_tokenized_beside_other_threads(tokenizer: TextTokenizer) -> None:
    text = "heart disease and diet " * 20_000
    ended = threading.Event()

    def tokenize() -> None:
        tokenizer.spans(text)
        ended.set()

    thread = threading.Thread(target=tokenize)
    thread.start()
    turns = 0
    while not ended.is_set():
        turns += 1
    thread.join()
    assert turns > 1_000  # of this thread, while the library held the interpreter it had none


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


@pytest.mark.parametrize("size", [5_000, 1_000])  # in a list, and alone
def test_a_pattern_that_takes_too_long_is_an_error(make_folder: MakeFolder, size: int) -> None:
    folder = make_folder()
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    pattern = {"Regex": "(a|a|aa)+$"}
    tokenizer["pre_tokenizer"] = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(EncoderError, match="the tokenizer cannot read a text"):
        TextTokenizer(open_folder(folder)).ids(["a" * size + " b"])
