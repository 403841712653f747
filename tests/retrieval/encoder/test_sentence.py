"""Test the public methods of the encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.token_batches import TokenBatch, pack_rows, plan_batches, row_length
from retrieval.encoder.sentence import SentenceEncoder

MakeFolder = Callable[..., Path]  # the fixture of conftest.py


def real_texts(shared_data: Path, count: int) -> list[str]:
    """Read abstracts (long, truncated) and questions (short)."""
    with (shared_data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as file:
        documents = [json.loads(next(file)) for _ in range(count)]
    with (shared_data / "scifact" / "queries.jsonl").open(encoding="utf-8") as file:
        queries = [json.loads(next(file))["text"] for _ in range(count)]
    return [f"{document['title']} {document['text']}" for document in documents] + queries


def test_real_text_equals_sentence_transformers(
    shared_data: Path, default_folder: Path, encoder: SentenceEncoder
) -> None:
    texts = real_texts(shared_data, 8)
    expected = SentenceTransformer(str(default_folder), device="cpu").encode(texts)
    assert (encoder.encode_passages(texts) * expected).sum(1).min() >= 0.99999
    assert (encoder.encode_queries(texts) * expected).sum(1).min() >= 0.99999


def test_a_vector_does_not_depend_on_its_batch(encoder: SentenceEncoder, texts: Sequence[str]) -> None:
    together = encoder.encode_passages(texts)
    alone = np.concatenate([encoder.encode_passages([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_passages(list(texts)[::-1]), together[::-1], atol=1e-6)


def test_vectors_have_length_one(encoder: SentenceEncoder, texts: Sequence[str]) -> None:
    vectors = encoder.encode_queries(texts)
    assert vectors.shape == (len(texts), encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_vectors(encoder: SentenceEncoder) -> None:
    assert encoder.encode_queries([]).shape == (0, encoder.dimension)


def test_many_threads_get_the_vectors_of_one_thread(encoder: SentenceEncoder, texts: Sequence[str]) -> None:
    expected = encoder.encode_queries(texts)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: encoder.encode_queries([texts[i % len(texts)]]), range(64)))
    for i, found in enumerate(answers):
        np.testing.assert_allclose(found[0], expected[i % len(texts)], atol=1e-6)


def test_a_text_without_tokens_has_a_zero_vector(make_folder: MakeFolder) -> None:
    folder = make_folder()
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    vectors = load_encoder(folder, runtime="torch", precision="f32").encode_passages(["", "word"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [0, 1], atol=1e-6)


def test_text_beyond_the_limit_does_not_matter(encoder: SentenceEncoder) -> None:
    start = "stem cells " * 200
    vectors = encoder.encode_passages([start, start + "something else " * 5_000])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_the_default_encoder_has_its_published_fingerprint(encoder: SentenceEncoder) -> None:
    fingerprint = encoder.fingerprint
    assert fingerprint.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (fingerprint.pooling, fingerprint.normalize) == ("mean", True)
    assert (fingerprint.max_tokens, fingerprint.dimension) == (256, 384)


def test_fingerprints_tell_encoders_apart(make_folder: MakeFolder) -> None:
    one, other = (load_encoder(make_folder(seed=seed), runtime="torch", precision="f32").fingerprint for seed in (0, 1))
    (difference,) = one.differences(other)
    assert difference.startswith("weights_sha256")
    prompted = load_encoder(
        make_folder(outer={"prompts": {"query": "q: "}}), runtime="torch", precision="f32"
    ).fingerprint
    assert one.differences(prompted) == ["query_prompt: '', 'q: '"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2_000))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * row_length(max(lengths[i] for i in batch)) <= budget


def test_row_lengths_fill_vector_registers_if_that_takes_little_padding() -> None:
    assert [row_length(longest) for longest in (16, 17, 30, 58, 100, 165, 250, 256)] == [
        16,
        17,
        32,
        64,
        100,
        176,
        256,
        256,
    ]


def test_rows_keep_the_tokens_in_place() -> None:
    batch = TokenBatch.of([[7, 8], [9], [5, 6]])
    separate = batch.rows(3)
    assert separate.ids.tolist() == [[7, 8, 0], [9, 0, 0], [5, 6, 0]]
    assert separate.texts.tolist() == [[0, 0, -1], [1, -1, -1], [2, 2, -1]]
    assert separate.positions.tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 0]]
    shared = batch.rows(3, shared=True)
    assert shared.ids.tolist() == [[7, 8, 9], [5, 6, 0]]
    assert shared.texts.tolist() == [[0, 0, 1], [2, 2, -1]]
    assert shared.spans.tolist() == [[0, 2], [2, 1], [3, 2]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(20, 50))
def test_shared_rows_hold_every_text_once(lengths: list[int], length: int) -> None:
    count, starts = pack_rows(lengths, length)
    taken = [int(start) + i for start, size in zip(starts, lengths, strict=True) for i in range(size)]
    assert len(set(taken)) == len(taken) == sum(lengths)
    assert max(taken) < count * length
    assert all(start % length + size <= length for start, size in zip(starts, lengths, strict=True))
    assert count < 2 * sum(lengths) / length + 1  # first fit: at most one row is half empty or less


@pytest.mark.parametrize("wrong", [{"runtime": "jax"}, {"precision": "f8"}])
def test_the_error_names_unknown_runtimes_and_precisions(wrong: dict[str, str]) -> None:
    from retrieval.errors import EncoderError

    with pytest.raises(EncoderError, match=next(iter(wrong.values()))):
        load_encoder(**wrong)
