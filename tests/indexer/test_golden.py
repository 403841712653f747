"""A collection of format 1, made by an earlier version, stays usable and keeps its scores."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.change_settings import SettingsChange, change_settings
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from indexer.writing.writer import Writer
from retrieval.bm25_options import Bm25Options
from retrieval.errors import BadQuery
from retrieval.index.collection.judgments import read_judgments
from retrieval.index.storage.manifest import MANIFEST, encode_manifest, kept_generations, read_manifest
from retrieval.results import SearchResult
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import EncoderFingerprint, Mode, Passage, SearchRequest, Syntax, Vectors

GOLDEN = Path(__file__).parent.parent / "golden"
DIMENSION = 16
FINGERPRINT = EncoderFingerprint("golden", "w", "t", "mean", True, "", "", 32, DIMENSION)
COMPONENTS = np.array([9, 7, 6, 5, 5, 4, 3, 3, 2, 1, 1, 0, 0, 0, 0, 0])  # in sixteenths; their squares add up to 1


def vector_of(text: str) -> Vectors:
    """Return the vector of a text: (DIMENSION,).

    SHA-512 of the text chooses the order and the signs of COMPONENTS.  Cosines are exact in float32, so that they do
    not depend on the machine.
    """
    digest = hashlib.sha512(text.encode()).digest()
    order = np.argsort(np.frombuffer(digest[:32], "<u2"), kind="stable")
    signs = np.where(np.frombuffer(digest[32:48], np.uint8) % 2, 1, -1)
    return (COMPONENTS[order] * signs / 16).astype(np.float32)


class CharacterTokenizer:
    """Each character is a token."""

    max_tokens = 32

    def whole_encoding(self, text: str) -> Any:
        return SimpleNamespace(ids=list(range(len(text))), offsets=[(start, start + 1) for start in range(len(text))])

    def token_id(self, _: str) -> int | None:
        return None


class GoldenEncoder:
    """The encoder that made the golden collection."""

    dimension = DIMENSION
    fingerprint = FINGERPRINT
    tokenizer = CharacterTokenizer()

    def encode_queries(self, texts: Sequence[str], **_: object) -> Vectors:
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        return np.stack([vector_of(text) for text in texts])


@pytest.fixture
def golden(folder: Path) -> Path:
    """A copy of the golden collection."""
    return Path(shutil.copytree(GOLDEN / "format-1", folder / "format-1"))


def opened(path: Path, generation: int | None = None) -> Searcher:
    return open_searcher(path, encoder=GoldenEncoder(), generation=generation)  # type: ignore[arg-type]


def recorded(generation: int) -> list[Any]:
    """The searches of a generation, with the answers of the version that made the collection."""
    rankings = json.loads((GOLDEN / "format-1-rankings.json").read_text())
    return [each for each in rankings if each["generation"] == generation]


def answer(searcher: Searcher, request: dict[str, Any]) -> SearchResult:
    typed = {name: tuple(value) if isinstance(value, list) else value for name, value in request.items()}
    if "mode" in typed:
        typed["mode"] = Mode(typed["mode"])
    return searcher.search(SearchRequest(**typed, syntax=Syntax.OPERATORS))  # as when the rankings were recorded


def check_rankings(searcher: Searcher, generation: int) -> None:
    """Compare every recorded search; a logarithm in BM25 may differ in its last bit between machines."""
    for each in recorded(generation):
        result = answer(searcher, each["request"])
        assert (result.mode, result.weight) == (each["mode"], each["weight"])
        assert [hit.id for hit in result.hits] == [hit["id"] for hit in each["hits"]], each["request"]
        for hit, known in zip(result.hits, each["hits"], strict=True):
            assert hit.score == pytest.approx(known["score"], rel=1e-6, abs=0)
            passages = [[passage.start, passage.end, passage.score] for passage in hit.passages]
            assert passages == [pytest.approx(passage, rel=1e-6, abs=0) for passage in known["passages"]]
        counts = {field: [[one.value, one.count] for one in values] for field, values in result.facets.items()}
        assert counts == each["facets"]


def check_verified(path: Path) -> None:
    found = verify(path, encoder=GoldenEncoder())  # type: ignore[arg-type]
    assert [each for each in found.checks if each.problems] == []
    assert not found.orphans


def test_the_golden_collection_verifies(golden: Path) -> None:
    check_verified(golden)
    assert kept_generations(golden) == [2, 3]
    assert [(each.query, each.document, each.grade) for each in read_judgments(golden)] == [
        ("sweet flowers", "d00", 3),
        ("sweet flowers", "d01", 0),
    ]


@pytest.mark.parametrize("generation", [2, 3])
def test_searches_of_the_golden_collection_have_the_recorded_scores(golden: Path, generation: int) -> None:
    with opened(golden, generation) as searcher:
        check_rankings(searcher, generation)


@pytest.mark.parametrize("name", [MANIFEST, "generations/000002.json", "generations/000003.json"])
def test_a_golden_manifest_is_encoded_to_the_same_bytes(golden: Path, name: str) -> None:
    generation = None if name == MANIFEST else int(name[-8:-5])
    assert encode_manifest(read_manifest(golden, generation)) == (golden / name).read_bytes()


def test_the_golden_collection_records_settings_and_an_approximate_index(golden: Path) -> None:
    manifest = read_manifest(golden)
    assert json.loads(encode_manifest(manifest))["settings"]["search"] == {"weight": 0.6}
    first, second = manifest.segments
    assert (first.ann_index is not None, second.ann_index) == (True, None)
    assert (manifest.documents, manifest.passages, len(manifest.schema)) == (32, 64, 6)


def test_the_golden_collection_takes_changes_merges_and_rolls_back(golden: Path) -> None:
    with opened(golden) as searcher:
        d04 = searcher.document("d04")
    new = replace(d04, id="new", text="A zebra in the garden.", title="Zebra")
    with Writer(golden, cause="add") as writer:
        assert writer.unchanged([d04, new]) == [True, False]
        writer.add([new], [[Passage(0, len(new.text))]], vector_of(new.text)[np.newaxis])
        assert writer.commit() == 4
    check_verified(golden)
    _check_new_document(golden)

    assert roll_back(golden, 3) == 5
    check_verified(golden)
    with opened(golden) as searcher:
        check_rankings(searcher, 3)

    assert roll_back(golden, 4) == 6
    merge_collection(golden, fully=True)
    (segment,) = read_manifest(golden).segments
    assert (segment.documents, segment.deletions) == (33, None)
    check_verified(golden)
    _check_new_document(golden)


def _check_new_document(path: Path) -> None:
    with opened(path) as searcher:
        (hit,) = searcher.search(SearchRequest("zebra", mode=Mode.LEXICAL)).hits
        assert (hit.id, hit.title) == ("new", "Zebra")
        best = searcher.search(SearchRequest("A zebra in the garden.", mode=Mode.DENSE, k=1)).hits[0]
        assert (best.id, best.score) == ("new", 1.0)


def test_a_new_lexical_index_of_the_golden_collection_knows_titles(golden: Path) -> None:
    own = SearchRequest("sweet flowers", mode=Mode.LEXICAL)
    chosen = replace(own, bm25=Bm25Options(title_weight=1.0))
    with opened(golden) as searcher:
        assert searcher.search(chosen).hits == (before := searcher.search(own).hits)  # the weight of its index
        with pytest.raises(BadQuery, match="attendex reindex"):
            searcher.search(replace(own, bm25=Bm25Options(title_weight=2.0)))
    change_settings(golden, SettingsChange({"title_weight": 2.0}))
    with opened(golden) as searcher:
        found = [{hit.id: hit.score for hit in searcher.search(each).hits} for each in (chosen, own)]
    assert found[0] == pytest.approx({hit.id: hit.score for hit in before}) != found[1]
    check_verified(golden)


def test_metadata_of_the_golden_collection_can_change(golden: Path) -> None:
    """Its files have no digests of texts: a document that is added again is encoded, a patched one is not."""
    with Writer(golden) as writer:
        stored = writer.stored(["d00", "d01"])
        changed = [replace(each, metadata={**each.metadata, "color": "red"}) for each in stored.values()]
        assert writer.unchanged(changed[:1]) == [False]
        writer.update_metadata(changed)
        writer.commit()
    with opened(golden) as searcher:
        assert [searcher.document(each.id) for each in changed] == changed
        check_rankings(searcher, 3)
    check_verified(golden)
