"""Token codes in segments: written, merged, verified, and found by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.reembed import reembed
from indexer.maintenance.verify import verify
from indexer.writing.pending_generation import SegmentLimits
from retrieval.errors import CorruptCollection, EncoderMismatch
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.settings import TokenSettings
from retrieval.index.vectors.token_codes import TokenCodec, TokenCodes
from retrieval.index.vectors.token_store import TOKEN_CODES, TOKEN_ENDS
from retrieval.types import Document, EncoderFingerprint
from tests.indexer.conftest import DIMENSION, Bench, vector_of
from tests.indexer.maintenance.test_reembed import Other

CODEC = TokenCodec(DIMENSION, 4)


class TokenBench(Bench):
    """A bench whose passages have a token vector for each word."""

    def codes(self, documents: tuple[Document, ...]) -> TokenCodes:
        texts = [each.text[part.start : part.end] for each in documents for part in self.cut(each)]
        return CODEC.encode([np.concatenate([vector_of(word) for word in text.split()]) for text in texts])

    def add_with_tokens(self, *documents: Document, **options: Any) -> None:
        with self.writer(**options) as writer:
            for each in documents:
                passages = [self.cut(each)]
                writer.add([each], passages, self.vectors([each]), tokens=self.codes((each,)))
            writer.commit()


@pytest.fixture
def bench(bench: Bench) -> TokenBench:
    encoder = EncoderFingerprint("hand-made words", "w", "t", "tokens", True, "", "", 32, DIMENSION)
    return TokenBench(bench.folder, replace(bench.settings, tokens=TokenSettings(encoder)))


def stored(path: Path) -> dict[str, list[bytes]]:
    """Return the codes and means of every live document's passages, by id."""
    found: dict[str, list[bytes]] = {}
    with open_index_reader(path) as reader:
        rows = np.flatnonzero(reader.live)
        for row, codes in zip(rows, reader.token_codes(rows), strict=True):
            [name] = reader.ids([reader.document_of[row]])
            found.setdefault(name, []).append(codes.codes.tobytes() + codes.means.tobytes())
    return found


def test_a_merged_collection_has_the_codes_of_a_fresh_one(bench: TokenBench, tmp_path: Path) -> None:
    documents = [bench.document(f"d{n}", f"text {n} of " + "many words " * (n % 5)) for n in range(12)]
    bench.add_with_tokens(bench.document("d1", "stale"), bench.document("gone"))
    bench.add_with_tokens(*documents[:7], limits=SegmentLimits(passages=3))
    bench.add_with_tokens(*documents[7:])
    with bench.writer() as writer:
        writer.delete(["gone", "d4"])
        writer.commit()
    before = stored(bench.path)
    merge_collection(bench.path, fully=True)
    fresh = TokenBench(tmp_path, bench.settings)
    fresh.add_with_tokens(*(each for each in documents if each.id != "d4"))
    assert stored(bench.path) == before == stored(fresh.path)
    [segment] = read_manifest(bench.path).segments
    assert TOKEN_CODES in [file.name for file in segment.files]
    assert verify(bench.path).ok


def test_another_encoder_of_passages_keeps_the_codes(bench: TokenBench) -> None:
    bench.add_with_tokens(*(bench.document(f"d{n}") for n in range(4)))
    before = stored(bench.path)
    reembed(bench.path, Other())  # type: ignore[arg-type]
    assert stored(bench.path) == before
    assert verify(bench.path).ok


@pytest.mark.parametrize("name", [TOKEN_CODES, TOKEN_ENDS])
def test_a_damaged_file_is_found(bench: TokenBench, name: str) -> None:
    bench.add_with_tokens(bench.document("a", "some words of a text"))
    [segment] = read_manifest(bench.path).segments
    path = bench.path / "segments" / segment.name / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert next(check.name for check in verify(bench.path).checks if check.problems) == "files"
    with pytest.raises(CorruptCollection, match=name):
        open_index_reader(bench.path)


def test_passages_and_token_codes_come_together(bench: TokenBench) -> None:
    document = bench.document("a", "some words")
    with (
        bench.writer() as writer,
        pytest.raises(EncoderMismatch, match="stores the token vectors of"),
    ):
        bench.put(writer, [document])
    plain = Bench(bench.folder / "plain", replace(bench.settings, tokens=None))
    plain.folder.mkdir()
    with plain.writer() as writer, pytest.raises(EncoderMismatch, match="stores no token vectors"):
        writer.add([document], [plain.cut(document)], plain.vectors([document]), tokens=bench.codes((document,)))
