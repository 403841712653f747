"""Compute the fingerprint of an encoder from the files that decide its vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path

from retrieval.encoder.checkpoint.model_folder import VOCABULARY_FILES, EncoderFolder, weight_files
from retrieval.encoder.checkpoint.sparse_folder import SparseFolder
from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import EncoderFingerprint


def compute_fingerprint(folder: EncoderFolder, name: str, *, int8: bool = False) -> EncoderFingerprint:
    """Read and hash every file that decides the vectors of the encoder."""
    weights = weight_files(folder.transformer)
    for dense in folder.head.dense:
        weights += weight_files(folder.path / dense.folder)
    weights = list(dict.fromkeys(weights))  # the projections of a cross-encoder are in the transformer's file
    float_digest = _digest_files(weights, folder.path)
    graph = folder.int8_graph if int8 else None
    pooling = "+".join(folder.head.poolings)
    return EncoderFingerprint(
        name=name,
        weights_sha256=_digest_files([graph, graph.with_suffix(".bin")], folder.path) if graph else float_digest,
        tokenizer_sha256=_tokenizer_digest(folder),
        pooling=pooling if folder.include_prompt else f"{pooling} without prompt",
        normalize=folder.head.normalize,
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_tokens=folder.max_tokens,
        dimension=folder.dimension,
        quantized_from=float_digest if graph else "",  # the digest above is then that of the int8 graph
    )


def compute_sparse_fingerprint(folder: SparseFolder, name: str) -> EncoderFingerprint:
    """Read and hash every file that decides the weights of terms."""
    passages, queries = folder.passages, folder.static_queries
    weights, tokenizer = weight_files(passages.transformer), _tokenizer_digest(passages)
    pooling = f"splade {folder.splade.pooling}{' log' if folder.splade.log_twice else ''}"
    if queries is not None:
        weights += weight_files(queries.transformer)
        tokenizer = f"{tokenizer}+{_tokenizer_digest(queries)}"
        pooling = f"{pooling}, queries from a table"
    return EncoderFingerprint(
        name=name,
        weights_sha256=_digest_files(weights, folder.path),
        tokenizer_sha256=tokenizer,
        pooling=pooling,
        normalize=False,
        query_prompt=passages.query_prompt,
        passage_prompt=passages.passage_prompt,
        max_tokens=passages.max_tokens,
        dimension=folder.vocabulary,
    )


def _tokenizer_digest(folder: EncoderFolder) -> str:
    root = folder.transformer
    whole = (root / "tokenizer.json").exists()
    names = ("tokenizer.json",) if whole else (*VOCABULARY_FILES, "tokenizer_config.json")
    found = [root / name for name in names if (root / name).exists()]
    if not found:
        raise UnsupportedCheckpoint(f"{root}: tokenizer.json is missing; fetch the folder again")
    digest = _digest_files(found, root)
    return f"{digest}+lowercase" if folder.lower_case else digest


def _digest_files(paths: list[Path], root: Path) -> str:
    """Return the SHA-256 of one file, or of several files' lines "digest  name"."""
    if len(paths) == 1:
        return _digest_file(paths[0])
    lines = sorted(f"{_digest_file(path)}  {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
