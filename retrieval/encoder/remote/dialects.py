"""Requests and answers of the three kinds of services.

Each answer is checked: as many vectors as texts, in their order, of one dimension, finite, not zero.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.encoder.remote.spec import RemoteSpec
from retrieval.errors import EncoderError
from retrieval.types import Vectors

UNIT_TOLERANCE = 1e-5  # vectors this close to length one stay as they came, to the last bit


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """The vectors of an answer, (n, dimension) float32, and its count of tokens."""

    vectors: Vectors
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class EmbeddingDialect:
    """A kind of service: the path, the body of a request, the values of an answer."""

    path: str
    body: Callable[[RemoteSpec, Sequence[str], str], dict[str, Any]]
    values: Callable[[Any, int], tuple[Sequence[Any], int]]


def read_answer(spec: RemoteSpec, answer: object, count: int) -> EmbeddedTexts:
    """Return the vectors of `count` texts, of length one.  Raises EncoderError."""
    try:
        rows, tokens = DIALECTS[spec.kind].values(answer, count)
        vectors = [_vector(row) for row in rows]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, binascii.Error) as error:
        raise EncoderError(
            f"{spec.url}: the answer is not that of the kind {spec.kind} ({type(error).__name__}: {str(error)[:100]}); "
            "check the URL and the kind before it"
        ) from error
    if len(vectors) != count:
        raise EncoderError(f"{spec.url}: {len(vectors)} vectors came for {count} texts; the service is at fault")
    if len({len(vector) for vector in vectors}) > 1:
        raise EncoderError(f"{spec.url}: the vectors of one answer have several dimensions; the service is at fault")
    return EmbeddedTexts(_unit(spec, np.stack(vectors)), tokens)


def _vector(row: object) -> Vectors:
    """Return one vector: of a list of numbers, or of base64 of little-endian float32."""
    if isinstance(row, str):
        return np.frombuffer(base64.b64decode(row, validate=True), "<f4").astype(np.float32)
    if not isinstance(row, list):
        raise TypeError("a vector is no list")
    return np.array([float("nan") if each is None else each for each in row], np.float32).reshape(-1)


def _unit(spec: RemoteSpec, vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():
        raise EncoderError(f"{spec.url}: a vector has a value that is no finite number; the service is at fault")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise EncoderError(f"{spec.url}: a vector is zero; the service is at fault")
    off = np.abs(lengths - 1.0) > UNIT_TOLERANCE
    return np.ascontiguousarray(np.where(off, vectors / lengths, vectors), np.float32)


def _openai_body(spec: RemoteSpec, texts: Sequence[str], kind: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": spec.model, "input": list(texts), "encoding_format": spec.encoding}
    return body | _optional(dimensions=spec.dimensions, input_type=kind)


def _tei_body(spec: RemoteSpec, texts: Sequence[str], kind: str) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": list(texts), "truncate": True, "normalize": True}
    return body | _optional(dimensions=spec.dimensions, prompt_name=kind)


def _ollama_body(spec: RemoteSpec, texts: Sequence[str], kind: str) -> dict[str, Any]:
    del kind
    return {"model": spec.model, "input": list(texts), "truncate": True} | _optional(dimensions=spec.dimensions)


def _optional(**given: object) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}


def _openai_values(answer: Any, count: int) -> tuple[Sequence[Any], int]:
    """Put the vectors in the order of `index`, which services need not keep."""
    rows: dict[int, Any] = {int(item["index"]): item["embedding"] for item in answer["data"]}
    if sorted(rows) != list(range(count)) or len(answer["data"]) != count:
        raise ValueError(f"{len(answer['data'])} vectors for {count} texts, or a wrong index")
    return [rows[position] for position in range(count)], _tokens(answer.get("usage"), "total_tokens")


def _tei_values(answer: Any, count: int) -> tuple[Sequence[Any], int]:
    del count
    if not isinstance(answer, list):
        raise TypeError("the answer is no list")
    return answer, 0


def _ollama_values(answer: Any, count: int) -> tuple[Sequence[Any], int]:
    del count
    return answer["embeddings"], _tokens(answer, "prompt_eval_count")


def _tokens(counts: object, name: str) -> int:
    found = counts.get(name) if isinstance(counts, Mapping) else None
    return found if isinstance(found, int) and found > 0 else 0


DIALECTS = {
    "openai": EmbeddingDialect("/embeddings", _openai_body, _openai_values),
    "tei": EmbeddingDialect("/embed", _tei_body, _tei_values),
    "ollama": EmbeddingDialect("/api/embed", _ollama_body, _ollama_values),
}
