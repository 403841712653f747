"""A sharded collection answers as one collection with the same documents does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import new_settings
from indexer.cluster.messages import decode, encode
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.sharded_writer import open_writer
from indexer.writing.sparse_build import sparse_settings
from retrieval.bm25_options import Bm25Options
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import ShardUnavailable
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.routed_reader import RoutedReader
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.index.collection.shards import ShardAnswer, ShardRequest, answer
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.index.storage.sharded_manifest import ShardedManifest
from retrieval.results import FailedShard, SearchResult, ShardCounts
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, GroupBy, Mode, Partial, Passage, SearchRequest, Syntax, Vectors
from tests.retrieval.search.conftest import documents

QUERIES = ("trees and squirrels", "pyhton lists", 'bread "baked from" -roses', "halley comet tail", "zzz")
SHARD_COUNTS = (1, 2, 4, 8)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"filter": "year > 2002", "facets": ("year", "tags")},
    {"filter": 'tags = "even" and not author = "Author 1"'},
    {"sort": "-year,author"},
    {"collapse": "author"},
    {"diversity": 0.3},
    {"collapse_near": 0.97},
    {"group_by": GroupBy.NONE},
    {"count": True, "min_score": 0.2, "offset": 3},
    {"highlight": True, "explain": True, "k": 5},
    {"bm25": Bm25Options(b=0.4, title_weight=3.0), "mode": Mode.HYBRID},
)


@pytest.fixture(scope="module")
def pool(library: Searcher) -> list[tuple[Document, Vectors]]:
    """Documents with their vectors, encoded once."""
    made = documents()
    return list(zip(made, library.encoder.encode_passages([each.text for each in made]), strict=True))


def write(
    path: Path,
    library: Searcher,
    shards: int,
    batches: Sequence[Sequence[tuple[Document, Vectors]]],
    gone: Sequence[str],
    vectors: VectorSettings | None = None,
    sparse_encoder: SparseEncoder | None = None,
) -> None:
    """Commit each batch as a generation, and the deletions with the last one."""
    create = new_settings(
        library.encoder, chunking=ChunkSettings(), lexical=LexicalSettings(), vectors=vectors or VectorSettings()
    )
    if sparse_encoder is not None:
        create = replace(create, sparse=sparse_settings(sparse_encoder))
    for number, batch in enumerate(batches):
        with open_writer(path, create=create, shards=shards) as writer:
            add(writer, batch)
            if number == len(batches) - 1:
                writer.delete(gone)
            writer.commit(library.encoder, sparse_encoder)


def add(writer: DocumentWriter, batch: Sequence[tuple[Document, Vectors]]) -> None:
    made = [document for document, _ in batch]
    passages = [[Passage(0, len(each.text))] for each in made]
    if batch:
        writer.add(made, passages, np.array([vector for _, vector in batch], np.float32))


@dataclass(frozen=True)
class MessageShard:
    """A shard of this process that answers messages, as one in another process does."""

    reader: IndexReader
    fails: bool = False

    @property
    def name(self) -> str:
        return self.reader.path.name

    def ask(self, request: ShardRequest) -> Callable[[], ShardAnswer]:
        message = encode(request)
        return lambda: self._answer(message)

    def _answer(self, message: bytes) -> ShardAnswer:
        if self.fails:
            raise ShardUnavailable("its process does not answer", shard=self.name)
        answered: ShardAnswer = decode(encode(answer(self.reader, decode(message))))
        return answered

    def close(self) -> None:
        """Leave the reader to its owner."""


def routed(path: Path, manifest: ShardedManifest, shards: Sequence[IndexReader]) -> RoutedReader:
    return RoutedReader(path, manifest, shards, [MessageShard(each) for each in shards])


def comparable(result: SearchResult) -> Any:
    """Return all of an answer but the times, the name and the number of shards."""
    return replace(result, timings_ms=None, collection="", shards=None)  # type: ignore[arg-type]


@settings(
    max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_answers_equal_those_of_one_collection(
    data: st.DataObject,
    library: Searcher,
    pool: list[tuple[Document, Vectors]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("sharded")
    numbers = data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=1, unique=True))
    chosen = [pool[number] for number in numbers]
    split = data.draw(st.integers(0, len(chosen)))
    gone = data.draw(st.lists(st.sampled_from([each.id for each, _ in chosen]), max_size=3))
    batches = [chosen[:split], chosen[split:]]
    with ExitStack() as stack:
        opened = {}
        for shards in (0, *data.draw(st.lists(st.sampled_from(SHARD_COUNTS), min_size=1, max_size=2, unique=True))):
            write(root / str(shards), library, shards, batches, gone)
            opened[shards] = stack.enter_context(open_searcher(root / str(shards), encoder=library.encoder))
            if shards:
                by_messages = open_searcher(root / str(shards), encoder=library.encoder, join=routed)
                opened[-shards] = stack.enter_context(by_messages)
        for _ in range(6):
            request = SearchRequest(
                data.draw(st.sampled_from(QUERIES)),
                mode=data.draw(st.sampled_from([Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])),
                fusion=data.draw(st.sampled_from(["convex", "rrf"])),
                exact=True,
                syntax=Syntax.OPERATORS,
            )
            options = {"k": 50} | data.draw(st.sampled_from(OPTIONS))
            known = set(opened[0].reader.schema)
            if not {"author", "tags", "year"} <= known:
                options = {"k": 50}
            answers = {shards: outcome(each, replace(request, **options)) for shards, each in opened.items()}
            for answer in answers.values():
                assert answer == answers[0]


def outcome(searcher: Searcher, request: SearchRequest) -> Any:
    return comparable(searcher.search(request))


@pytest.fixture(scope="module")
def whole_and_sharded(
    library: Searcher, pool: list[tuple[Document, Vectors]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Searcher, Searcher]]:
    """All documents, calibrated, in one collection and in four shards."""
    root = tmp_path_factory.mktemp("calibrated")
    with ExitStack() as stack:
        opened = []
        for shards in (0, 4):
            write(root / f"c{shards}", library, shards, [pool], [])
            opened.append(stack.enter_context(open_searcher(root / f"c{shards}", encoder=library.encoder)))
        yield opened[0], opened[1]


def test_fusion_scales_cosines_as_in_one_collection(whole_and_sharded: tuple[Searcher, Searcher]) -> None:
    whole, sharded = whole_and_sharded
    assert whole.reader.manifest.background is not None
    assert sharded.reader.manifest.background == whole.reader.manifest.background
    for query in QUERIES:
        assert outcome(sharded, SearchRequest(query, exact=True)) == outcome(whole, SearchRequest(query, exact=True))


def test_it_is_one_collection(whole_and_sharded: tuple[Searcher, Searcher]) -> None:
    whole, sharded = whole_and_sharded
    result = sharded.search(SearchRequest("trees"))
    assert result.collection == "c4"
    assert all(hit.collection is None for hit in result.hits)
    assert sharded.document("d03") == whole.document("d03")
    assert sharded.suggest("squi") == whole.suggest("squi")
    assert sharded.explain("trees", "d07") == whole.explain("trees", "d07")
    listed = sharded.search(SearchRequest("*", k=50, count=True))
    assert sorted(hit.id for hit in listed.hits) == [f"d{i:02}" for i in range(40)]


@pytest.fixture
def damaged(
    library: Searcher, pool: list[tuple[Document, Vectors]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The sharded collection, with a byte of a text of shard 0001 altered: it is found when that text is read."""
    monkeypatch.setattr("retrieval.index.storage.checksums.BLOCK_BYTES", 128)  # many blocks, as in a large file
    monkeypatch.setattr("retrieval.index.collection.index_reader.CHECKED_BYTES", 0)
    path = tmp_path / "damaged"
    write(path, library, 4, [pool], [])
    [file] = path.glob("shards/0001/segments/*/documents.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    return path


def test_a_damaged_shard_fails_the_search_or_is_left_out(
    whole_and_sharded: tuple[Searcher, Searcher], library: Searcher, damaged: Path
) -> None:
    request = SearchRequest("trees and squirrels", mode=Mode.DENSE, k=500)
    assert whole_and_sharded[1].search(request).shards == ShardCounts(4, 4)
    with open_searcher(damaged, encoder=library.encoder) as searcher:
        with pytest.raises(ShardUnavailable, match=r"shard 0001 of damaged cannot answer.*give `partial`") as caught:
            searcher.search(request)
        assert caught.value.shard == "0001"
        for mode in (Mode.DENSE, Mode.HYBRID):
            answer = searcher.search(replace(request, mode=mode, partial=Partial.ALLOW))
            assert answer.shards == ShardCounts(4, 3, (FailedShard("0001", "its files are damaged"),))
            assert answer.hits
            assert not {hit.id for hit in answer.hits} & set(ids_of_shard(whole_and_sharded[1], "0001"))


def test_a_shard_that_does_not_answer_fails_the_search_or_is_left_out(
    whole_and_sharded: tuple[Searcher, Searcher], library: Searcher
) -> None:
    sharded = whole_and_sharded[1]

    def join(path: Path, manifest: ShardedManifest, shards: Sequence[IndexReader]) -> RoutedReader:
        return RoutedReader(path, manifest, shards, [MessageShard(each, each.path.name == "0002") for each in shards])

    with open_searcher(sharded.reader.path, encoder=library.encoder, join=join) as searcher:
        request = SearchRequest("trees and squirrels", k=500, count=True, exact=True)
        with pytest.raises(ShardUnavailable, match=r"shard 0002 of c4 cannot answer: its process.*give `partial`"):
            searcher.search(request)
        answer = searcher.search(replace(request, partial=Partial.ALLOW))
        assert answer.shards == ShardCounts(4, 3, (FailedShard("0002", "its process does not answer"),))
        others = {each.id for each in documents()} - set(ids_of_shard(sharded, "0002"))
        assert {hit.id for hit in answer.hits} <= others
        assert len(answer.hits) > 3


def test_shards_rank_windows_and_sparse_weights(
    library: Searcher, sparse_library: Searcher, pool: list[tuple[Document, Vectors]], tmp_path: Path
) -> None:
    sparse = sparse_library.sparse_encoder
    given = {"encoder": library.encoder, "sparse_encoder": sparse}
    with ExitStack() as stack:
        opened = []
        for shards, join in ((0, ShardedReader), (2, ShardedReader), (2, routed)):
            path = tmp_path / str(shards)
            if not path.exists():
                write(path, library, shards, [pool[:12]], [], VectorSettings(window_sentences=1), sparse)
            opened.append(stack.enter_context(open_searcher(path, join=join, **given)))  # type: ignore[arg-type]
        for options in ({"mode": Mode.SPARSE}, {"mode": Mode.DENSE, "window_share": 0.5}, {"count": True}):
            request = SearchRequest("old trees and halley comet", exact=True, k=12, **options)  # type: ignore[arg-type]
            whole, *sharded = (outcome(each, request) for each in opened)
            assert sharded == [whole, whole]
            assert whole.hits


def ids_of_shard(searcher: Searcher, name: str) -> list[str]:
    assert isinstance(searcher.reader, ShardedReader)
    [shard] = [each for each in searcher.reader.shards if each.path.name == name]
    return [each.id for each in shard.documents(np.flatnonzero(shard.live_documents))]


def test_terms_of_deleted_documents_replace_no_word(
    library: Searcher, pool: list[tuple[Document, Vectors]], tmp_path: Path
) -> None:
    """`trees` is one edit from a word with the stem of `are`, which only the deleted document has."""
    write(tmp_path / "c", library, 0, [[pool[30], pool[1]], []], ["d01"])
    with open_searcher(tmp_path / "c", encoder=library.encoder) as searcher:
        assert searcher.search(SearchRequest("trees", mode=Mode.LEXICAL)).replacements == ()
