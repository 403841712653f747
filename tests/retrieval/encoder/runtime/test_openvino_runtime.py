"""Compare the converted encoder with the reference, and test its cache."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.local_encoder import LocalEncoder
from retrieval.encoder.runtime import conversion
from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.errors import EncoderError
from retrieval.types import Vectors
from tests.retrieval.encoder.families import SMALL, SPECIAL

MakeFolder = Callable[..., Path]  # the fixture of conftest.py

BERTISH = SMALL | {"max_position_embeddings": 80, "initializer_range": 0.3}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERTISH),
    "xlm-roberta": ("XLMRoberta", BERTISH),
    "mpnet": ("MPNet", BERTISH),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 30522, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "initializer_range": 0.3},
    ),
    "modernbert": ("ModernBert", SMALL | SPECIAL | {"local_attention": 8, "initializer_range": 0.3}),
}


@pytest.fixture(scope="module")
def fast() -> LocalEncoder:
    """Load the default encoder with the default precision."""
    return load_encoder(runtime="openvino")


def assert_runtimes_agree(folder: Path, texts: Sequence[str]) -> None:
    reference = load_encoder(folder, runtime="torch", precision="f32")
    converted = load_encoder(folder, runtime="openvino", precision="f32")
    assert isinstance(converted.runtime, OpenVINORuntime)
    for kind in ("encode_queries", "encode_passages"):
        np.testing.assert_allclose(getattr(converted, kind)(texts), getattr(reference, kind)(texts), atol=2e-5)
    full, ragged = [texts[0]] * 300, [texts[0], texts[2]] * 200  # many tokens, of one length and of two
    for many in (full, ragged):
        np.testing.assert_allclose(converted.encode_passages(many), reference.encode_passages(many), atol=2e-5)
    assert converted.fingerprint == reference.fingerprint


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_converts(family: str, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    name, settings = FAMILIES[family]
    folder = make_folder()
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    assert_runtimes_agree(folder, texts)


def test_every_pooling_and_a_prompt_left_out_convert(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    modes = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
    pooling = {"embedding_dimension": 32, "pooling_mode": modes, "include_prompt": False}
    outer = {"prompts": {"query": "search for this: ", "document": "about "}, "truncate_dim": 150}
    assert_runtimes_agree(make_folder(pooling, outer=outer), texts)


def test_bfloat16_stays_close_on_real_text(shared_data: Path, encoder: LocalEncoder) -> None:
    with (shared_data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as file:
        texts = [json.loads(next(file))["text"] for _ in range(8)]
    found = load_encoder(runtime="openvino", precision="bf16").encode_passages(texts)
    assert (found * encoder.encode_passages(texts)).sum(1).min() >= 0.9995


def test_a_vector_does_not_depend_on_its_batch(fast: LocalEncoder, texts: Sequence[str]) -> None:
    many = [*texts, *(f"{text} and more" for text in texts)]
    together = fast.encode_passages(many)
    alone = np.concatenate([fast.encode_passages([text]) for text in many])
    assert (together * alone).sum(1).min() >= 0.99999


def test_in_the_background_a_text_has_the_same_vector(fast: LocalEncoder, texts: Sequence[str]) -> None:
    texts = [*texts, " ".join(texts) * 3]
    assert (fast.background.encode_passages(texts) * fast.encode_passages(texts)).sum(1).min() >= 0.99999


def test_save_cpu_does_not_change_a_vector(fast: LocalEncoder, texts: Sequence[str]) -> None:
    for texts_ in ([texts[0]], texts, texts * 10):
        fast_vectors, cheap_vectors = fast.encode_queries(texts_), fast.encode_queries(texts_, save_cpu=True)
        assert (fast_vectors * cheap_vectors).sum(1).min() >= 0.99999
        np.testing.assert_allclose(np.linalg.norm(cheap_vectors, axis=1), 1, atol=1e-5)


def test_bulk_does_not_change_a_vector(fast: LocalEncoder, texts: Sequence[str]) -> None:
    bulk = load_encoder(runtime="openvino", bulk=True)
    for texts_ in ([texts[0]], texts, [texts[0]] * 300):
        assert (bulk.encode_passages(texts_) * fast.encode_passages(texts_)).sum(1).min() >= 0.99999


def test_many_threads_get_the_vectors_of_one_thread(fast: LocalEncoder, texts: Sequence[str]) -> None:
    expected = fast.encode_queries(texts)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: fast.encode_queries([texts[i % len(texts)]])[0], range(64)))
    for i, found in enumerate(answers):
        assert found @ expected[i % len(texts)] >= 0.99999


def test_a_stream_gives_every_block_in_order(fast: LocalEncoder, texts: Sequence[str]) -> None:
    blocks = [[f"{text} {i}" for text in texts] for i in range(40)]
    blocks.insert(3, [])
    stream = list(fast.encode_stream(enumerate(blocks)))
    assert [number for number, _ in stream] == list(range(len(blocks)))
    answers = [vectors for _, vectors in stream]
    assert [len(each) for each in answers] == [len(each) for each in blocks]
    for block, vectors in list(zip(blocks, answers, strict=True))[::13]:
        if block:
            assert (fast.encode_passages(block) * vectors).sum(1).min() >= 0.99999


def test_an_error_of_the_reader_comes_out_of_the_stream(fast: LocalEncoder) -> None:
    def blocks() -> Iterator[tuple[str, list[str]]]:
        yield "payload", ["one"]
        raise OSError("the file went away")

    with pytest.raises(OSError, match="the file went away"):
        list(fast.encode_stream(blocks()))


def test_a_stream_may_be_left(fast: LocalEncoder) -> None:
    endless = ((i, ["some text", f"text {i}"]) for i in iter(int, 1))
    stream = fast.encode_stream(endless)
    assert next(stream)[1].shape == (2, fast.dimension)
    stream.close()


def test_the_second_start_finds_the_graph(
    make_folder: MakeFolder, texts: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(seed=11)
    before = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)

    def refuse(_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(conversion, "export_graph", refuse)
    after = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_a_process_that_finds_the_graph_imports_no_torch(fast: LocalEncoder) -> None:
    assert fast.runtime.name == "openvino"
    check = (
        "import sys; from retrieval.encoder.loading import load_encoder; load_encoder().encode_queries(['x'] * 40);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'nncf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_damaged_graph_is_converted_again(make_folder: MakeFolder, cache: Path, texts: Sequence[str]) -> None:
    folder = make_folder(seed=12)
    known = set((cache / "encoders").glob("*/model.xml"))
    before = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    (graph,) = set((cache / "encoders").glob("*/model.xml")) - known
    graph.write_text("<net><torn")
    after = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert "torn" not in graph.read_text()


def test_a_truncated_graph_is_converted_again(make_folder: MakeFolder, cache: Path, texts: Sequence[str]) -> None:
    folder = make_folder(seed=13)
    known = set((cache / "encoders").glob("*/model.bin"))
    before = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    (weights,) = set((cache / "encoders").glob("*/model.bin")) - known
    content = weights.read_bytes()
    weights.unlink()  # the first encoder keeps its mapped file
    weights.write_bytes(content[: len(content) // 3])
    after = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_the_encoder_works_without_a_writable_cache(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(make_folder(), runtime="openvino")
    assert encoder.encode_queries(["x"]).shape == (1, 32)
    assert "cannot be kept" in caplog.text


def test_without_openvino_the_encoder_runs_on_torch(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    folder = make_folder()
    with caplog.at_level(logging.WARNING):
        assert load_encoder(folder).runtime.name == "torch"
    assert "using torch" in caplog.text
    with pytest.raises(EncoderError, match="OpenVINO cannot run"):
        load_encoder(folder, runtime="openvino")


def test_families_of_auto_model_cannot_be_converted(make_folder: MakeFolder) -> None:
    folder = make_folder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "electra"}))
    with pytest.raises(EncoderError, match=r"electra.*runtime torch"):
        load_encoder(folder, runtime="openvino")


def test_int8_needs_a_folder_made_for_it(make_folder: MakeFolder) -> None:
    with pytest.raises(EncoderError, match="attendex quantize"):
        load_encoder(make_folder(), precision="int8")


def test_the_cache_key_covers_the_shape(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    """The same weights under another number of heads are another encoder."""
    folder = make_folder(seed=14)
    first = load_encoder(folder, runtime="openvino", precision="f32").encode_passages(texts)
    other = shutil.copytree(folder, folder.parent / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"num_attention_heads": 2}))
    assert np.abs(load_encoder(other, runtime="openvino", precision="f32").encode_passages(texts) - first).max() > 1e-3
    assert_runtimes_agree(other, texts)


class RecordingRuntime:
    """A runtime that records the threads that call it."""

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.precision, self.streams = runtime.name, runtime.precision, runtime.streams
        self.budget_tokens = runtime.budget_tokens
        self.background = runtime.background
        self.calls: set[tuple[int, bool]] = set()
        self._runtime = runtime

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:
        self.calls.add((threading.get_ident(), save_cpu))
        return self._runtime.run(batch, save_cpu=save_cpu)


def test_save_cpu_uses_the_thread_of_the_caller_only(fast: LocalEncoder) -> None:
    recording = RecordingRuntime(fast.runtime)
    encoder = LocalEncoder(fast.folder, fast.tokenizer, recording, fast.fingerprint)
    texts = [f"the wing number {number} lifts " * 12 for number in range(20)]
    vectors = encoder.encode_queries(texts, save_cpu=True)
    assert recording.calls == {(threading.get_ident(), True)}
    assert (vectors * fast.encode_queries(texts)).sum(1).min() >= 0.99999
