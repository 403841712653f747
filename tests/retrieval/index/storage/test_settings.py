"""Settings of a collection pass through JSON and are checked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from retrieval.errors import InputError
from retrieval.index.storage.settings import (
    Canaries,
    ChunkSettings,
    CollectionSettings,
    LexicalSettings,
    SearchDefaults,
    VectorSettings,
    settings_from_json,
    settings_to_json,
)
from retrieval.types import EncoderFingerprint, FieldType

ENCODER = EncoderFingerprint("mini", "w", "t", "mean", True, "query: ", "", 256, 4)
PLAIN = CollectionSettings(ENCODER, "torch", "f32", Canaries(("eins", "二"), np.eye(2, 4, dtype=np.float32)))


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        replace(PLAIN, schema={"year": FieldType.NUMBER}, chunking=ChunkSettings("whole", 128, 8, 4)),
        replace(PLAIN, lexical=LexicalSettings("german", 0.9, 0.4, 2.0)),
        replace(PLAIN, vectors=VectorSettings("float32", 0.95, "small", "IVF64,SQ8"), search=SearchDefaults(0.3)),
    ],
)
def test_settings_pass_through_json(settings: CollectionSettings) -> None:
    read = settings_from_json(json.loads(json.dumps(settings_to_json(settings))))
    assert np.array_equal(read.canaries.vectors, settings.canaries.vectors)
    assert replace(read, canaries=settings.canaries) == settings


def test_the_json_has_all_defaults_of_an_index_and_no_search_default_that_was_not_found() -> None:
    body = settings_to_json(replace(PLAIN, lexical=LexicalSettings()))
    assert body["chunking"] == {"strategy": "passages", "max_tokens": 0, "overlap_tokens": 32, "min_tokens": 32}
    assert list(body["lexical"].items()) == [
        ("language", "english"),
        ("k1", 1.5),
        ("b", 0.75),
        ("title_weight", 1.0),
        ("short", 45.0),
        ("stop_words", "language"),
        ("analysis", 2),
    ]
    assert body["vectors"] == {"dtype": "float16", "recall": 0.98, "memory": "auto", "structure": ""}
    assert body["search"] == {}


@pytest.mark.parametrize("words", ["none", "language", ("the", "of")])
def test_stop_words_are_recorded_unless_there_are_none(words: str | tuple[str, ...]) -> None:
    settings = replace(PLAIN, lexical=LexicalSettings(stop_words=words))
    body = json.loads(json.dumps(settings_to_json(settings)))
    assert body["lexical"].get("stop_words", "none") == (list(words) if isinstance(words, tuple) else words)
    assert ("stop_words" in body["lexical"]) == (words != "none")  # earlier versions knew none
    assert settings_from_json(body).lexical == settings.lexical


@pytest.mark.parametrize("words", ["english", ("x",) * 10_001, ("x" * 101,)])
def test_stop_words_are_bounded(words: str | tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"stop words"):
        LexicalSettings(stop_words=words)


def test_what_an_earlier_version_left_out_has_its_default() -> None:
    body = settings_to_json(PLAIN)
    del body["search"]
    read = settings_from_json({**body, "vectors": {"dtype": "float32", "later": 1}, "chunking": {}})
    assert (read.vectors, read.chunking) == (VectorSettings(dtype="float32"), ChunkSettings())
    assert read.search == SearchDefaults()


def test_chunk_settings_are_checked() -> None:
    with pytest.raises(InputError, match="strategy 'words'"):
        ChunkSettings("words")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="negative"):
        ChunkSettings(overlap_tokens=-1)


@pytest.mark.parametrize("wrong", [{"recall": 1.2}, {"recall": 0.1}, {"memory": "huge"}, {"dtype": "int8"}])
def test_vector_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        VectorSettings(**wrong)


@pytest.mark.parametrize(
    "settings", [{"language": "klingon"}, {"k1": -1.0}, {"b": 1.5}, {"title_weight": float("nan")}, {"analysis": 0}]
)
def test_lexical_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))[:5] if "language" not in settings else "klingon"):
        LexicalSettings(**settings)  # type: ignore[arg-type]
