"""Segments of a commit: merged, with ANN indexes and deletions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.verify import verify
from indexer.writing import prepare_commit
from indexer.writing.pending_segments import PendingSegments, open_base_segments
from indexer.writing.prepare_commit import GenerationTarget, merge_pending, segment_records
from indexer.writing.segment_merge import MergePolicy
from retrieval.errors import CorruptCollection
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.collection.segment import ANN_INDEX, COPIES
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.build import AnnIndexFacts
from retrieval.index.vectors.recall import estimate, recall_of
from retrieval.types import Vectors
from retrieval.util.files import Files
from service.cli import app
from tests.indexer.conftest import Bench, vector_of

DOCUMENTS = 1200


@pytest.fixture
def graphs(bench: Bench) -> Bench:
    """Make collections whose segments of a thousand passages get a graph."""
    vectors = VectorSettings(structure="HNSW32,SQ8", recall=0.9)
    return replace(bench, settings=replace(bench.settings, vectors=vectors))


def queries() -> Vectors:
    return np.concatenate([vector_of(f"query {number}") for number in range(60)])


def recall(path: Path, k: int = 10) -> float:
    """Return the recall of the current generation against exact search, for live rows."""
    with open_index_reader(path) as reader:
        found = reader.vectors.search(queries(), k, allowed=reader.live)
        exact = reader.vectors.search(queries(), k, allowed=reader.live, exact=True)
        assert all(reader.live[each.rows].all() and len(each.rows) == k for each in found)
        return estimate([recall_of(one, other) for one, other in zip(found, exact, strict=True)]).high


def is_exact(path: Path) -> bool:
    with open_index_reader(path) as reader:
        return reader.vectors.is_exact


def test_a_large_segment_has_an_ann_index_through_commits_deletions_and_merges(graphs: Bench) -> None:
    documents = [graphs.document(f"d{number:04}") for number in range(DOCUMENTS)]
    graphs.add(*documents)
    segment = read_manifest(graphs.path).segments[0]
    assert segment.ann_index is not None
    facts = AnnIndexFacts.from_json(segment.ann_index.facts)
    assert (facts.factory, facts.rows) == ("HNSW32,SQ8", segment.passages)
    assert not is_exact(graphs.path)
    assert recall(graphs.path) >= 0.9

    graphs.add(graphs.document("new"))
    first, second = read_manifest(graphs.path).segments
    assert first.ann_index == segment.ann_index
    assert second.ann_index is None  # small: exact
    with graphs.writer() as writing:
        writing.delete([each.id for each in documents[:100]])
        writing.commit()
    assert recall(graphs.path) >= 0.9

    merge_collection(graphs.path, fully=True)
    (merged,) = read_manifest(graphs.path).segments
    assert merged.ann_index is not None
    assert merged.ann_index.facts["rows"] == merged.passages
    assert recall(graphs.path) >= 0.9


EQUAL = 400  # documents with one text, so with equal vectors


def dense(path: Path, text: str, k: int, *, exact: bool = False) -> list[str]:
    """Return the ids of the passages' documents for the query, in row order where scores tie."""
    with open_index_reader(path) as reader:
        (found,) = reader.vectors.search(vector_of(text), k, allowed=reader.live, exact=exact)
        return reader.ids(reader.document_of[found.rows])


def test_equal_texts_are_found_through_deletions_and_merges(graphs: Bench) -> None:
    """The index takes one of the equal vectors; an answer has all of them, in row order."""
    equal = [graphs.document(f"e{number:04}", "the same text") for number in range(EQUAL)]
    others = [graphs.document(f"d{number:04}") for number in range(DOCUMENTS)]
    graphs.add(*others[:600], *equal, *others[600:])
    (segment,) = read_manifest(graphs.path).segments
    assert segment.ann_index is not None
    facts = AnnIndexFacts.from_json(segment.ann_index.facts)
    assert (facts.rows, facts.copies) == (segment.passages - EQUAL + 1, EQUAL - 1)
    assert dense(graphs.path, "the same text", 20) == [f"e{number:04}" for number in range(20)]

    with graphs.writer() as writing:
        writing.delete([f"e{number:04}" for number in range(0, EQUAL, 2)])  # the one in the index, too
        writing.commit()
    assert not is_exact(graphs.path)
    odd = [f"e{number:04}" for number in range(1, 40, 2)]
    assert dense(graphs.path, "the same text", 20) == odd
    assert recall(graphs.path) >= 0.9
    assert verify(graphs.path).ok

    merge_collection(graphs.path, fully=True)
    (merged,) = read_manifest(graphs.path).segments
    assert merged.ann_index is not None
    assert merged.ann_index.facts["copies"] == EQUAL // 2 - 1
    assert dense(graphs.path, "the same text", 20) == odd
    (file,) = graphs.path.glob(f"segments/{merged.name}/{COPIES}")
    file.write_bytes(file.read_bytes()[:-8] + bytes(8))
    with pytest.raises(CorruptCollection, match="digest"):
        open_index_reader(graphs.path)


def test_an_index_that_misses_the_target_is_not_used_and_that_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = VectorSettings(structure="PCA1,HNSW32,SQ8", recall=0.98)  # one of eight dimensions
    bench = replace(bench, settings=replace(bench.settings, vectors=vectors))
    bench.add(*(bench.document(f"d{number:04}") for number in range(DOCUMENTS)))
    assert is_exact(bench.path)
    assert "below 0.98; its 1200 passages are searched exactly" in caplog.text
    shown = " ".join(CliRunner().invoke(app, ["info", str(bench.path)]).stdout.split())
    assert "1,200 searched exactly, since PCA1,HNSW32,SQ8 reached a recall@10 of only 0." in shown


def test_a_small_collection_stays_exact(bench: Bench) -> None:
    bench.add(*(bench.document(f"d{number}") for number in range(50)))
    assert is_exact(bench.path)


@pytest.mark.parametrize("place", [0.001, 0.3])
def test_a_damaged_structure_is_refused_before_it_is_parsed(graphs: Bench, place: float) -> None:
    graphs.add(*(graphs.document(f"d{number:04}") for number in range(DOCUMENTS)))
    (path,) = graphs.path.glob(f"segments/*/{ANN_INDEX}")
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptCollection, match="digest"):
        open_index_reader(graphs.path)


def test_an_interrupted_build_of_a_structure_leaves_the_old_generation(
    graphs: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs.add(graphs.document("first"))
    monkeypatch.setattr(prepare_commit, "record_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    documents = [graphs.document(f"d{number:04}") for number in range(DOCUMENTS)]
    with pytest.raises(KeyboardInterrupt):
        graphs.add(*documents)
    assert read_manifest(graphs.path).generation == 1
    monkeypatch.undo()
    graphs.add(*documents)
    assert len(list(graphs.path.glob(f"segments/*/{ANN_INDEX}"))) == 1  # the other one was collected


@pytest.fixture
def three_segments(bench: Bench) -> PendingSegments:
    """Make three segments of the base: a and b, c and d, e and f."""
    for names in ("ab", "cd", "ef"):
        bench.add(*(bench.document(name) for name in names))
    return PendingSegments(open_base_segments(bench.path, read_manifest(bench.path).segments))


def target_of(bench: Bench) -> GenerationTarget:
    return GenerationTarget(bench.path, 4, {}, bench.settings.vectors, Files())


def names(pending: PendingSegments) -> list[str]:
    return [segment.record.name for segment in pending.segments]


def test_a_segment_without_live_documents_is_left_out(bench: Bench, three_segments: PendingSegments) -> None:
    first, _, third = names(three_segments)
    three_segments.delete(id_digests(["c", "d"]))
    merge_pending(three_segments, target_of(bench), MergePolicy(), 100)
    assert names(three_segments) == [first, third]


def test_neighbours_are_merged_in_row_order_up_to_the_limit(bench: Bench, three_segments: PendingSegments) -> None:
    policy = MergePolicy(fanout=3, floor_passages=100)
    before = names(three_segments)
    merge_pending(three_segments, target_of(bench), policy, 5)  # six passages: too many
    assert names(three_segments) == before
    merge_pending(three_segments, target_of(bench), policy, 6)
    (merged,) = three_segments.segments
    assert merged.record.name.startswith("000004-")
    assert merged.segment.ids(np.arange(6)) == list("abcdef")
    assert merged.segment.keys.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_merge_drops_deleted_documents(bench: Bench, three_segments: PendingSegments) -> None:
    three_segments.delete(id_digests(["a"]))
    merge_pending(three_segments, target_of(bench), MergePolicy(dead_share=0.4), 100)
    assert three_segments.segments[0].segment.ids(np.arange(1)) == ["b"]  # one of two passages was deleted
    assert [segment.record.documents for segment in three_segments.segments] == [1, 2, 2]


def test_only_changed_deletions_are_written(bench: Bench, three_segments: PendingSegments) -> None:
    target = target_of(bench)
    assert segment_records(three_segments, target) == read_manifest(bench.path).segments
    assert list((bench.path / "deletions").iterdir()) == []
    three_segments.delete(id_digests(["d"]))
    first, second, third = segment_records(three_segments, target)
    assert (first.deletions, third.deletions) == (None, None)
    assert second.deletions is not None
    assert (second.deletions.documents, second.deletions.passages) == (1, 1)
    (path,) = (bench.path / "deletions").iterdir()
    assert path.name == f"000004-{second.name}.npy"
