"""Collections with a sparse index: built, changed, merged, re-embedded and checked."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.document_changes import CollectionChange, apply_changes, delete_documents
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.evaluation.tuning import CollectionObjective, current_settings
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.reembed import reembed
from indexer.maintenance.verify import verify
from indexer.writing.sparse_build import SCALE_MARGIN, sparse_settings
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder, WrappedEncoder
from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.errors import BadQuery, EncoderError, EncoderMismatch
from retrieval.index.storage.manifest import LEXICAL, read_manifest
from retrieval.index.storage.settings import MAX_IMPACT
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import make_task
from retrieval.search.encoder_check import CANARY_TEXTS
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, SearchRequest
from tests.indexer.maintenance.test_reembed import Other
from tests.retrieval.encoder.sparse_encoders import save_inference_free, save_splade

TEXTS = {
    "cats": "Cats sleep for most of the day and hunt at night.",
    "wings": "A wing in the slipstream of a propeller lifts more.",
    "bread": "Bread is baked from flour, water and yeast.",
    "comets": "Comets are bodies of ice and dust; near the sun they grow a tail.",
}
QUERY = "hunting cats at night"


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def sparse_encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    return load_sparse_encoder(save_inference_free(tmp_path_factory.mktemp("free")))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sparse_encoder: SparseEncoder) -> Path:
    """Two documents, indexed with the sparse encoder by its name."""
    root = tmp_path_factory.mktemp("sparse")
    lines = [f'{{"id": "{name}", "text": "{TEXTS[name]}", "year": {len(name)}}}' for name in ("cats", "wings")]
    (root / "documents.jsonl").write_text("\n".join(lines))
    build_collection([root / "documents.jsonl"], root / "built", BuildSettings(sparse=str(sparse_encoder.folder.path)))
    return root / "built"


@pytest.fixture
def collection(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "built")
    return tmp_path / "built"


def add(path: Path, encoder: SentenceEncoder, *names: str, sparse_encoder: SparseEncoder | None = None) -> None:
    documents = tuple(Document(name, TEXTS[name]) for name in names)
    apply_changes(path, encoder, [CollectionChange(upserts=documents)], sparse_encoder=sparse_encoder)


@pytest.fixture
def opened(built: Path, encoder: SentenceEncoder, sparse_encoder: SparseEncoder) -> Iterator[Searcher]:
    with open_searcher(built, encoder=encoder, sparse_encoder=sparse_encoder) as searcher:
        yield searcher


def scores(searcher: Searcher, query: str = QUERY) -> dict[str, float]:
    hits = searcher.search(SearchRequest(query, mode=Mode.SPARSE)).hits
    return {hit.id: hit.score for hit in hits}


def expected(sparse_encoder: SparseEncoder, names: list[str]) -> dict[str, float]:
    """Compute dot products of the encoder's own weights."""
    query, *passages = (
        np.bincount(each.terms, each.weights, sparse_encoder.folder.vocabulary)
        for each in (
            *sparse_encoder.encode_queries([QUERY]),
            *sparse_encoder.encode_passages([TEXTS[name] for name in names]),
        )
    )
    return {name: float(query @ passage) for name, passage in zip(names, passages, strict=True)}


def test_scores_are_those_of_the_encoder_but_for_rounding(opened: Searcher, sparse_encoder: SparseEncoder) -> None:
    assert scores(opened) == pytest.approx(expected(sparse_encoder, ["cats", "wings"]), rel=0.03)


def test_the_manifest_records_encoder_and_scale(built: Path, sparse_encoder: SparseEncoder) -> None:
    kept = read_manifest(built).settings.sparse
    assert kept is not None
    assert kept.encoder == sparse_encoder.fingerprint
    greatest = max(float(each.weights.max()) for each in sparse_encoder.encode_passages(CANARY_TEXTS))
    assert kept.scale == pytest.approx(SCALE_MARGIN * greatest / MAX_IMPACT)
    assert sparse_settings(sparse_encoder).scale == pytest.approx(kept.scale, rel=0.02)


def test_modes_filters_facets_and_explanations(opened: Searcher) -> None:
    assert opened.reader.modes == (Mode.DENSE, Mode.LEXICAL, Mode.SPARSE, Mode.HYBRID)
    found = opened.search(
        SearchRequest(QUERY, mode=Mode.SPARSE, filter="year = 5", facets=("year",), explain=True, highlight=True)
    )
    assert [hit.id for hit in found.hits] == ["wings"]
    assert found.total.value == 1
    assert [(each.value, each.count) for each in found.facets["year"]] == [(5.0, 1)]
    explanation = found.hits[0].explanation
    assert explanation is not None
    assert explanation.sparse is not None
    assert explanation.lexical is explanation.dense is None
    assert sum(each.score for each in explanation.sparse.terms) == pytest.approx(found.hits[0].score, rel=1e-5)
    for each in explanation.sparse.terms:
        assert each.score == pytest.approx(each.query_weight * each.passage_weight, rel=1e-5)
    assert opened.explain(QUERY, "wings", Mode.SPARSE).sparse == explanation.sparse


def test_hybrid_fuses_three(opened: Searcher) -> None:
    found = opened.search(SearchRequest(QUERY, mode=Mode.HYBRID, weight=0.5, sparse_weight=0.4, feedback=0.0))
    ranges = found.score_ranges
    assert found.sparse_weight == 0.4
    for hit in found.hits:
        parts = {
            name: (hit.scores[name] - ranges[name][0]) / (ranges[name][1] - ranges[name][0])  # type: ignore[operator]
            for name in ("dense", "lexical", "sparse")
        }
        fused = 0.5 * parts["dense"] + 0.3 * parts["lexical"] + 0.2 * parts["sparse"]
        assert hit.score == pytest.approx(fused, abs=1e-5)
    two = opened.search(SearchRequest(QUERY, mode=Mode.HYBRID, sparse_weight=0.0))
    assert two.hits
    assert "sparse" not in two.score_ranges
    assert opened.search(SearchRequest(QUERY, mode=Mode.HYBRID, fusion="rrf")).hits


def test_changes_and_merges_keep_the_index(
    collection: Path, encoder: SentenceEncoder, sparse_encoder: SparseEncoder
) -> None:
    add(collection, encoder, "bread", sparse_encoder=sparse_encoder)
    add(collection, encoder, "comets")  # the writer loads the encoder by its name
    delete_documents(collection, ["wings"])
    kept = ["cats", "bread", "comets"]
    with open_searcher(collection, encoder=encoder, sparse_encoder=sparse_encoder) as searcher:
        before = scores(searcher)
    assert before == pytest.approx(expected(sparse_encoder, kept), rel=0.05)
    assert verify(collection).ok
    merge_collection(collection, fully=True)
    record = read_manifest(collection).sparse
    assert record is not None
    assert len({file.name.partition("-")[0] for file in record.files}) == 1
    with open_searcher(collection, encoder=encoder, sparse_encoder=sparse_encoder) as searcher:
        assert scores(searcher) == before
    assert verify(collection).ok


def test_a_sparse_index_is_added_to_a_collection(
    tmp_path: Path, encoder: SentenceEncoder, sparse_encoder: SparseEncoder
) -> None:
    (tmp_path / "one.jsonl").write_text(f'{{"id": "cats", "text": "{TEXTS["cats"]}"}}')
    build_collection([tmp_path / "one.jsonl"], tmp_path / "later")
    with open_searcher(tmp_path / "later", encoder=encoder) as searcher:
        assert Mode.SPARSE not in searcher.reader.modes
        with pytest.raises(BadQuery, match=r"no sparse index.*--sparse ENCODER"):
            searcher.search(SearchRequest("cats", mode=Mode.SPARSE))
    settings = BuildSettings(sparse=str(sparse_encoder.folder.path))
    report = build_collection([tmp_path / "one.jsonl"], tmp_path / "later", settings)
    assert report.unchanged == 1
    with open_searcher(tmp_path / "later", encoder=encoder, sparse_encoder=sparse_encoder) as searcher:
        assert scores(searcher) == pytest.approx(expected(sparse_encoder, ["cats"]), rel=0.03)


def test_damage_is_found(collection: Path) -> None:
    record = read_manifest(collection).sparse
    assert record is not None
    for file in record.files:
        if file.name.endswith("-frequencies.npy"):
            path = collection / LEXICAL / record.name / file.name
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    found = verify(collection)
    assert not found.ok
    assert any("frequencies" in problem for check in found.checks for problem in check.problems)


def test_another_sparse_encoder_is_refused(collection: Path, tmp_path: Path, encoder: SentenceEncoder) -> None:
    other = save_splade(tmp_path / "other")
    (tmp_path / "more.jsonl").write_text('{"id": "x", "text": "y"}')
    with pytest.raises(EncoderMismatch, match="--sparse"):
        build_collection([tmp_path / "more.jsonl"], collection, BuildSettings(sparse=str(other)))
    with pytest.raises(EncoderMismatch):
        open_searcher(collection, encoder=encoder, sparse_encoder=load_sparse_encoder(other))


def test_another_dense_encoder_keeps_the_sparse_index(
    collection: Path, encoder: SentenceEncoder, sparse_encoder: SparseEncoder
) -> None:
    with open_searcher(collection, encoder=encoder, sparse_encoder=sparse_encoder) as searcher:
        before = scores(searcher)
    record = read_manifest(collection).sparse
    other: Any = Other()
    assert reembed(collection, other).encoded == 2
    manifest = read_manifest(collection)
    assert (manifest.encoder, manifest.sparse) == (Other.fingerprint, record)
    other.tokenizer, other.inspector = encoder.tokenizer, None
    with open_searcher(collection, encoder=other, sparse_encoder=sparse_encoder) as searcher:
        assert scores(searcher) == before
    assert verify(collection).ok


def test_tuning_weighs_the_sparse_index(built: Path) -> None:
    topics = (Topic("q", QUERY), Topic("r", "a propeller"))
    task = make_task("two", topics, Qrels("two", {"q": {"cats": 1}, "r": {"wings": 1}}))
    defaults = current_settings(read_manifest(built))
    assert defaults["sparse_weight"] == 0.4
    with CollectionObjective(built, task, "RR@10", None) as objective:
        measured = [objective.measure({**defaults, "weight": 0.0, "sparse_weight": share}).tolist() for share in (0, 1)]
    with open_searcher(built) as searcher:  # with the sparse encoder that the manifest names
        expected = [
            [
                sum(1 / hit.rank for hit in found.hits if hit.id == best)
                for found, best in zip(searcher.search_many(requests), ("cats", "wings"), strict=True)
            ]
            for requests in (
                [SearchRequest(each.text, mode=Mode.HYBRID, weight=0.0, sparse_weight=share) for each in topics]
                for share in (0.0, 1.0)
            )
        ]
    assert measured == expected


class Recorder(WrappedEncoder):
    """An encoder that notes the passages that it encodes."""

    def __init__(self, wrapped: SentenceEncoder) -> None:
        super().__init__(wrapped)
        self.texts = list[str]()

    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> Any:
        self.texts += texts
        return super().encode_passages(texts, save_cpu=save_cpu)

    def encode_stream(self, blocks: Iterable[Any]) -> Iterator[Any]:
        for payload, vectors in super().encode_stream(blocks):
            self.texts += payload.texts
            yield payload, vectors


def test_a_missing_sparse_encoder_is_found_before_passages_are_encoded(
    collection: Path, tmp_path: Path, encoder: SentenceEncoder, sparse_encoder: SparseEncoder
) -> None:
    moved = sparse_encoder.folder.path.rename(tmp_path / "moved")
    recorder = Recorder(encoder)
    (tmp_path / "more.jsonl").write_text(f'{{"id": "bread", "text": "{TEXTS["bread"]}"}}')
    try:
        with pytest.raises(EncoderError, match="free"):
            add(collection, recorder, "bread")
        loading = Future[SentenceEncoder]()
        loading.set_result(recorder)
        with pytest.raises(EncoderError, match="free"):
            build_collection([tmp_path / "more.jsonl"], collection, loading=loading)
        assert TEXTS["bread"] not in recorder.texts
        delete_documents(collection, ["wings"])  # needs no encoder
    finally:
        moved.rename(sparse_encoder.folder.path)
