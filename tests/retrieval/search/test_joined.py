"""Several collections searched together: equal to one collection with the documents of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import create_collection
from indexer.writing.writer import Writer
from retrieval.bm25_options import Bm25Options
from retrieval.errors import BadQuery
from retrieval.index.collection.joined_reader import JoinedReader
from retrieval.index.storage.manifest import CosineBackground
from retrieval.index.storage.settings import LexicalSettings
from retrieval.results import SearchResult
from retrieval.search.joined_searcher import join_searchers
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, EncoderFingerprint, GroupBy, Mode, Passage, SearchRequest, Syntax, Vectors
from tests.retrieval.search.conftest import documents

BACKGROUND = CosineBackground(0.08, 0.09, 40)  # shared, as the shards of one collection share it


@pytest.fixture(scope="module")
def parts(library: Searcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Searcher]]:
    """Open the documents of the library in one collection, and in three; some are deleted."""
    root = tmp_path_factory.mktemp("joined")
    made = documents()
    vectors = library.encoder.encode_passages([each.text for each in made])  # equal in all collections, bit by bit
    shares = {"whole": slice(0, None), "a": slice(0, 5), "b": slice(5, 21), "c": slice(21, None)}
    with ExitStack() as stack:
        opened = {}
        for name, share in shares.items():
            create_collection(root / name, library.encoder)
            write(
                root / name, [Document("gone", "Squirrels and trees that were deleted"), *made[share][:2]], vectors[:3]
            )
            write(root / name, made[share], vectors[share], deletes=["gone"])
            searcher = stack.enter_context(open_searcher(root / name, encoder=library.encoder))
            searcher.reader.manifest = replace(searcher.reader.manifest, background=BACKGROUND)
            opened[name] = searcher
        yield opened


def write(path: Path, share: Sequence[Document], vectors: Vectors, deletes: Sequence[str] = ()) -> None:
    """Add documents of one passage, and delete some."""
    with Writer(path) as writer:
        writer.add(share, [[Passage(0, len(each.text))] for each in share], vectors)
        writer.delete(deletes)
        writer.commit()


def comparable(result: SearchResult) -> Any:
    """Return all of an answer but the times, the names and the generation."""
    hits = tuple(replace(hit, collection=None) for hit in result.hits)
    return replace(result, hits=hits, timings_ms=None, collection="", generation=0)  # type: ignore[arg-type]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.sampled_from(
        ["trees and squirrels", "pyhton lists", 'bread "baked from" -roses', "*", "halley comet tail"]
    ),
    mode=st.sampled_from([Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]),
    fusion=st.sampled_from(["convex", "rrf"]),
    options=st.sampled_from(
        [
            {},
            {"filter": "year > 2002", "facets": ("year", "tags")},
            {"sort": "-year,author"},
            {"collapse": "author"},
            {"diversity": 0.3},
            {"collapse_near": 0.97},
            {"group_by": GroupBy.NONE},
            {"count": True, "min_score": 0.2, "offset": 3},
            {"highlight": True, "explain": True, "k": 5},
            {"bm25": Bm25Options(b=0.4, title_weight=3.0), "mode": Mode.HYBRID},
            {"like": ("d03",)},
        ]
    ),
    names=st.permutations(["a", "b", "c"]),
)
def test_answers_equal_those_of_one_collection(
    parts: dict[str, Searcher], query: str, mode: Mode, fusion: str, options: dict[str, Any], names: list[str]
) -> None:
    options = {} if query == "*" and not options.keys().isdisjoint(("diversity", "explain", "bm25")) else options
    names = ["a", "b", "c"] if query == "*" else names  # listed in the order of the collections
    request = SearchRequest(
        query, mode=mode, fusion=fusion, k=options.get("k", 50), exact=True, syntax=Syntax.OPERATORS
    )
    request = replace(request, **options)
    joined = join_searchers([parts[name] for name in names])
    expected, found = parts["whole"].search(request), joined.search(request)
    assert comparable(found) == comparable(expected)
    for hit in found.hits:
        assert hit.collection is not None
        assert parts[hit.collection].document(hit.id).id == hit.id


def test_joined_collections_outlive_their_parts(parts: dict[str, Searcher]) -> None:
    opened = [open_searcher(parts[name].reader.path, encoder=parts[name].encoder) for name in ("a", "b")]
    joined = join_searchers(opened)
    before = joined.search(SearchRequest("trees"))
    for searcher in opened:
        searcher.close()
    assert comparable(joined.search(SearchRequest("trees"))) == comparable(before)


def test_backgrounds_are_pooled(parts: dict[str, Searcher]) -> None:
    readers = [parts[name].reader for name in ("a", "b")]
    kept = [reader.manifest for reader in readers]
    try:
        for reader, mean in zip(readers, (0.0, 0.2), strict=True):
            reader.manifest = replace(reader.manifest, background=CosineBackground(mean, 0.1, 50))
        pooled = JoinedReader(readers).manifest.background
        assert pooled is not None
        assert (pooled.mean, pooled.passages) == (pytest.approx(0.1), 100)
        assert pooled.deviation == pytest.approx(0.02**0.5)
        readers[0].manifest = replace(readers[0].manifest, background=None)
        assert JoinedReader(readers).manifest.background is None
    finally:
        for reader, manifest in zip(readers, kept, strict=True):
            reader.manifest = manifest


def test_collections_that_cannot_be_compared_are_refused(parts: dict[str, Searcher]) -> None:
    reader = parts["a"].reader
    kept = reader.manifest
    other = EncoderFingerprint("other", "w", "t", "mean", True, "", "", 32, 384)
    changes = (
        (replace(kept, settings=replace(kept.settings, encoder=other)), "b and a have different encoders"),
        (replace(kept, settings=replace(kept.settings, lexical=LexicalSettings(k1=2.0))), "different lexical settings"),
        (replace(kept, schema={**kept.schema, "year": "string"}), "the field 'year' is string in a and number"),
    )
    try:
        for manifest, says in changes:
            reader.manifest = manifest  # type: ignore[assignment]
            with pytest.raises(BadQuery, match=says):
                join_searchers([parts["b"], parts["a"]])
    finally:
        reader.manifest = kept
    with pytest.raises(BadQuery, match="names 0 collections; name 1 to 16"):
        join_searchers([])
