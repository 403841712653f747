"""Static embeddings: equal to sentence-transformers, exactly explained, refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer

from indexer.evaluation.quantize import quantize_folder
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.errors import BadQuery, EncoderError, UnsupportedCheckpoint
from retrieval.search.explain.attribution import CosineExplainer
from retrieval.search.explain.word_alignment import TextPart

WIDTH = 24
VOCABULARY = 30_522
ERA = "sentence_transformers.models."

MakeModel2Vec = Callable[..., Path]


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def make_model2vec(tmp_path: Path, default_folder: Path) -> MakeModel2Vec:
    """Return a function that writes a folder as model2vec does, with the given tensors."""

    def make(tensors: dict[str, NDArray[Any]], *, modules: bool = True, path: str = ".") -> Path:
        (tmp_path / path).mkdir(exist_ok=True)
        tokenizer = Tokenizer.from_file(str(default_folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.save(str(tmp_path / path / "tokenizer.json"))
        save_file(tensors, tmp_path / path / "model.safetensors")
        write(tmp_path / "config.json", {"model_type": "model2vec", "hidden_dim": WIDTH, "normalize": True})
        if modules:
            kinds = [("StaticEmbedding", path), ("Normalize", "1_Normalize")]
            listed = [{"idx": i, "name": str(i), "path": p, "type": ERA + kind} for i, (kind, p) in enumerate(kinds)]
            write(tmp_path / "modules.json", listed)
        return tmp_path

    return make


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("truncation", [5, None])
def test_a_saved_static_embedding_equals_sentence_transformers(
    normalize: bool, truncation: int | None, tmp_path: Path, default_folder: Path, texts: Sequence[str]
) -> None:
    tokenizer = Tokenizer.from_file(str(default_folder / "tokenizer.json"))
    tokenizer.no_truncation() if truncation is None else tokenizer.enable_truncation(truncation)
    modules = [StaticEmbedding(tokenizer, embedding_weights=random(VOCABULARY, WIDTH))]
    model = SentenceTransformer(modules=[*modules, *([Normalize()] if normalize else [])], device="cpu")
    if not normalize:
        model.similarity_fn_name = "dot"  # the vectors keep their length
    model.save(str(tmp_path))
    short = [text for text in texts if len(tokenizer.encode(text).ids) <= 512]
    ours = load_encoder(tmp_path)
    assert ours.runtime.name is RuntimeName.NUMPY
    assert ours.fingerprint.max_tokens == (truncation or 512)
    np.testing.assert_allclose(ours.encode_passages(short), model.encode(short), atol=1e-5)


@pytest.mark.parametrize("path", [".", "", "0_StaticEmbedding"])
@pytest.mark.parametrize("optional", [(), ("weights",), ("weights", "mapping")])
def test_a_folder_of_model2vec_equals_sentence_transformers(
    path: str, optional: Sequence[str], make_model2vec: MakeModel2Vec, texts: Sequence[str]
) -> None:
    """A mapping shares rows among tokens; weights are of tokens."""
    rows = 1_000 if "mapping" in optional else VOCABULARY
    tensors: dict[str, NDArray[Any]] = {"embeddings": random(rows, WIDTH)}
    if "weights" in optional:
        tensors["weights"] = np.abs(random(VOCABULARY, seed=1))
    if "mapping" in optional:
        tensors["mapping"] = np.random.default_rng(2).integers(rows, size=VOCABULARY).astype(np.int32)
    folder = make_model2vec(tensors, path=path)
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(texts[:5]))
    np.testing.assert_allclose(load_encoder(folder).encode_passages(texts[:5]), expected, atol=1e-5)


@pytest.mark.parametrize("modules", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "int8", "float64", "bfloat16"])
def test_every_number_format_is_averaged_in_float32(dtype: str, modules: bool, make_model2vec: MakeModel2Vec) -> None:
    """Without modules.json, config.json names the kind and says whether to normalise."""
    table = np.round(random(VOCABULARY, WIDTH) * 20)
    stored = table if dtype == "bfloat16" else table.astype(dtype)
    folder = make_model2vec({"embeddings": stored}, modules=modules)
    if dtype == "bfloat16":  # which numpy cannot write
        save_torch_file({"embeddings": torch.from_numpy(table).to(torch.bfloat16)}, folder / "model.safetensors")
    ours = load_encoder(folder)
    (ids,) = ours.tokenizer.ids(["the weir leaks"])
    mean = table[ids].mean(axis=0)
    np.testing.assert_allclose(ours.encode_queries(["the weir leaks"])[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_long_text_is_cut_at_512_tokens_and_special_tokens_are_left_out(make_model2vec: MakeModel2Vec) -> None:
    ours = load_encoder(make_model2vec({"embeddings": random(VOCABULARY, WIDTH)}))
    short, long = ours.tokenizer.ids(["the weir", "the weir " * 4_000])
    assert (len(short), len(long)) == (2, 512)
    assert ours.tokenizer.max_tokens == 512
    assert not ours.encode_queries([""]).any()


def test_pairs_of_words_add_up_to_the_score_and_attention_is_refused(make_model2vec: MakeModel2Vec) -> None:
    tensors = {"embeddings": random(VOCABULARY, WIDTH), "weights": np.abs(random(VOCABULARY, seed=1))}
    encoder = load_encoder(make_model2vec(tensors))
    explainer = CosineExplainer(encoder)
    query, text = "where does the weir leak?", "The weir leaks at its crest; the bandstand is dry."
    score = float(encoder.encode_queries([query])[0] @ encoder.encode_passages([text])[0])
    (found,) = explainer.explain(query, [[TextPart("text", text)]], [score])
    assert found.exact
    assert sum(map(sum, found.pairs)) == pytest.approx(score, abs=1e-4)
    assert abs(found.remainder) < 1e-6
    (empty,) = explainer.explain(
        "", [[TextPart("text", text)]], [0.0]
    )  # no token: a static embedding has no special ones
    assert empty.pairs == ()
    with pytest.raises(BadQuery, match="static embedding"):
        explainer.attention([TextPart("text", text)], 0)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"vectors": random(VOCABULARY, WIDTH)}, "embedding.weight or embeddings"),
        ({"embeddings": random(VOCABULARY)}, "shape"),
        ({"embeddings": random()}, "wrong type"),
        ({"embeddings": np.zeros((VOCABULARY, WIDTH), np.float32)}, "zero or not finite"),
        ({"embeddings": np.full((VOCABULARY, 2), np.nan, np.float32)}, "not finite"),
        ({"embeddings": random(9, WIDTH)}, "vectors for 9 ids"),
        ({"embeddings": random(VOCABULARY, WIDTH), "weights": np.ones(9, np.float32)}, "vectors for 9 ids"),
        ({"embeddings": random(9, WIDTH), "mapping": np.full(VOCABULARY, 9)}, "leads out of the table"),
        ({"embeddings": random(9, WIDTH), "mapping": np.full(VOCABULARY, -1)}, "leads out of the table"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tensors: dict[str, NDArray[Any]], message: str, make_model2vec: MakeModel2Vec
) -> None:
    folder = make_model2vec(tensors)
    with pytest.raises(UnsupportedCheckpoint, match=message):
        load_encoder(folder)


def test_without_matrix_products_there_is_one_way_to_run(make_model2vec: MakeModel2Vec, tmp_path: Path) -> None:
    """A service has one runtime and one precision for all its encoders."""
    folder = make_model2vec({"embeddings": random(VOCABULARY, WIDTH)})
    started = load_encoder(folder, runtime="openvino", precision="bf16").runtime
    assert (started.name, started.precision) == (RuntimeName.NUMPY, Precision.F32)
    with pytest.raises(EncoderError, match="no matrix products to quantise"):
        quantize_folder(str(folder), ["a text"], tmp_path / "int8")
    with pytest.raises(EncoderError, match="no static embedding"):
        load_encoder(runtime="numpy")


def test_it_is_ready_without_torch_and_openvino(make_model2vec: MakeModel2Vec) -> None:
    folder = make_model2vec({"embeddings": random(VOCABULARY, WIDTH)})
    code = (
        "import sys; from retrieval.encoder.loading import load_encoder; "
        f"load_encoder({str(folder)!r}).encode_queries(['a text']); "
        "print(sorted({'torch', 'transformers', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
