"""10,000 equal and near-equal texts among 42,000: recall@10 reaches its target, or search is exact and says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from typer.testing import CliRunner

from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.loading import load_encoder
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import ChunkSettings, VectorSettings
from retrieval.index.vectors.recall import recall_of
from service.cli import app

DIMENSION = 64
OTHERS, EQUAL, NEAR = 32_000, 5_000, 5_000
QUERIES = 300


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a static embedding of random token vectors: near-equal texts have near-equal vectors."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "tokenizer.json").write_bytes((locate("all-MiniLM-L6-v2") / "tokenizer.json").read_bytes())
    table = np.random.default_rng(0).standard_normal((30_522, DIMENSION), dtype=np.float32)
    save_file({"embedding.weight": table}, folder / "model.safetensors")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(scope="module")
def texts(encoder: Path) -> tuple[list[str], list[str]]:
    """Return the texts of the documents, and queries near all kinds of them."""
    rng = np.random.default_rng(1)
    vocabulary = sorted(Tokenizer.from_file(str(encoder / "tokenizer.json")).get_vocab())
    words = np.array([word for word in vocabulary if word.isalpha() and len(word) > 3])
    others = [" ".join(row) for row in words[rng.integers(len(words), size=(OTHERS, 12))].tolist()]
    form = " ".join(rng.choice(words, 60).tolist())
    near = [f"{form} {word}" for word in rng.choice(words, NEAR).tolist()]
    documents = [*others, *[form] * EQUAL, *near]
    queries = [" ".join(text.split()[:8]) for text in others[:: 2 * OTHERS // QUERIES]]
    return documents, [*queries, *near[:: 2 * NEAR // QUERIES]]


@pytest.mark.slow  # indexes 42,000 texts twice
@pytest.mark.parametrize("structure", ["", "HNSW32,SQ8"])
def test_recall_reaches_the_target_or_search_is_exact(
    structure: str, encoder: Path, texts: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    documents, queries = texts
    order = np.random.default_rng(2).permutation(len(documents))
    source, path = tmp_path / "texts.jsonl", tmp_path / "texts"
    source.write_text("".join(json.dumps({"id": f"{row:05}", "text": documents[row]}) + "\n" for row in order))
    settings = BuildSettings(
        encoder=str(encoder),
        chunking=ChunkSettings("whole"),
        lexical=None,
        vectors=VectorSettings(structure=structure),
    )
    build_collection([source], path, settings)
    vectors = load_encoder(encoder).encode_queries(queries)
    with open_index_reader(path) as reader:
        found = reader.vectors.search(vectors, 10)
        exact = reader.vectors.search(vectors, 10, exact=True)
        is_exact = reader.vectors.is_exact
    recalls = np.array([recall_of(one, other) for one, other in zip(found, exact, strict=True)])
    shown = " ".join(CliRunner().invoke(app, ["info", str(path)]).stdout.split())
    assert ("searched exactly" in shown) == is_exact, shown
    others, near = recalls[: QUERIES // 2].mean(), recalls[QUERIES // 2 :].mean()
    assert min(others, near) >= 0.98, (others, near, shown)
