"""Systems that an evaluation measures: run files and collections, local or remote.

A word on the command line names a system:

run.trec                     a run file
papers                       a collection, searched with its defaults
papers:hybrid,weight=0.7     the same with a mode and settings of a search request
papers:hybrid,rerank=NAME,depth=20  the same with the first documents reranked
papers:hybrid,boosts=[{"filter": "year > 2000", "weight": 1.2}]  with boosts
http://host:8080/papers:dense  a collection of a running service
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from retrieval.bm25_options import BM25_RANGES, Bm25Options
from retrieval.boosts import parse_boosts
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError, NotFound
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.metrics.files import read_run
from retrieval.metrics.run_queries import (
    ProgressCallback,
    RunProvenance,
    SearchFunction,
    describe_settings,
    run_queries,
)
from retrieval.metrics.runs import RetrievalRun, Topic
from retrieval.search.evaluated.http_collection import open_remote
from retrieval.search.fusion_methods import PARAMETERS
from retrieval.search.searcher import open_searcher
from retrieval.types import Document, EncoderFingerprint, Mode, RerankOptions, SearchRequest, Syntax

SETTINGS: Mapping[str, type] = {
    "syntax": Syntax,
    "typos": bool,
    "synonyms": bool,
    "pins": bool,
    "filter": str,
    "fusion": str,
    **{each.name: each.type for each in PARAMETERS.values()},
    "exact": bool,
    "min_score": float,
}
BM25_SETTINGS: Mapping[str, type] = dict.fromkeys(BM25_RANGES, float)
BOOSTS = "boosts"  # a JSON list
RERANK_SETTINGS: Mapping[str, type] = {"rerank": str, "depth": int, "rerank_weight": float}
_NAME = "[a-z_][a-z0-9_]*"
_SPEC = re.compile(rf"(?P<location>.+?)(?::(?P<mode>[A-Za-z]+)?(?P<settings>(?:(?:(?<=:)|,){_NAME}=.*)?))?", re.DOTALL)
_NEXT_SETTING = re.compile(rf",(?={_NAME}=)")  # no such name follows a comma in the list of a filter


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """A run file, a local collection or a remote one; `location` is a path or URL."""

    word: str
    location: str
    request: SearchRequest

    @property
    def is_url(self) -> bool:
        return self.location.startswith(("http://", "https://"))

    @property
    def is_run(self) -> bool:
        """Whether the system is a run file, or a pipe that gives a run."""
        return not self.is_url and _exists(self.location) and not Path(self.location).is_dir()


@dataclass(frozen=True, slots=True)
class OpenSystem:
    """An open collection: its search function and its identity."""

    answer: SearchFunction
    collection: str
    generation: int
    documents: int
    encoder: EncoderFingerprint
    searcher: Any = None  # None for a remote collection


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """A system's run."""

    run: RetrievalRun
    provenance: RunProvenance | None = None  # None for a run file
    seconds: float = 0.0  # of all answers


def parse_system(word: str) -> SystemSpec:
    """Parse a word.  Raises InputError for an unknown or wrong setting."""
    if _exists(word):
        return SystemSpec(word, word, SearchRequest(""))
    match = _SPEC.fullmatch(word)
    if match is None:
        raise InputError(
            f"{word!r} does not name a system; write DIR, DIR:mode or DIR:mode,weight=0.7 (modes: {', '.join(Mode)})"
        )
    if match["mode"] and match["mode"] not in list(Mode):
        raise InputError(f"{word!r}: there is no mode {match['mode']!r}; modes: {', '.join(Mode)}")
    settings: dict[str, Any] = {}
    for pair in filter(None, _NEXT_SETTING.split((match["settings"] or "").removeprefix(","))):
        name, _, value = pair.partition("=")
        settings[name] = _setting(word, name, value)
    mode = Mode(match["mode"]) if match["mode"] else None
    bm25 = {name: settings.pop(name) for name in BM25_SETTINGS if name in settings}
    options = Bm25Options(**bm25) if bm25 else None
    request = replace(SearchRequest("", mode=mode), rerank=_rerank(word, settings), bm25=options, **settings)
    return SystemSpec(word, match["location"], request)


@contextmanager
def open_system(spec: SystemSpec, *, encoder: SentenceEncoder | None = None) -> Iterator[OpenSystem]:
    """Open the collection of a spec that is not a run file."""
    if spec.is_url:
        with open_remote(spec.location) as remote:
            yield OpenSystem(remote.answer, remote.collection, remote.generation, remote.documents, remote.encoder)
        return
    _require_exists(spec)
    with open_searcher(Path(spec.location), encoder=encoder) as searcher:
        reader = searcher.reader
        yield OpenSystem(
            searcher.search_many,
            reader.name,
            reader.manifest.generation,
            int(reader.live_documents.sum()),
            reader.manifest.encoder,
            searcher,
        )


def ask_system(
    system: OpenSystem, request: SearchRequest, topics: Sequence[Topic], *, watch: ProgressCallback | None = None
) -> MeasuredSystem:
    """Run the queries on an open system; the tag of the run names the system."""
    timed = run_queries(system.answer, topics, request, watch=watch)
    provenance = RunProvenance(
        system.collection,
        system.generation,
        system.documents,
        timed.mode,
        system.encoder,
        describe_settings(request),
        request.syntax,
    )
    return MeasuredSystem(RetrievalRun(provenance.tag, timed.run.rankings), provenance, timed.seconds)


def measure_system(
    spec: SystemSpec, topics: Sequence[Topic], depth: int, *, watch: ProgressCallback | None = None
) -> MeasuredSystem:
    """Read a run file, or run the queries on a collection.  Raises InputError."""
    if spec.is_run:
        return MeasuredSystem(read_run(Path(spec.location)))
    _require_exists(spec)
    if not topics:
        raise InputError(f"{spec.word!r} is a collection and needs queries: give --queries FILE or --beir FOLDER")
    with open_system(spec) as system:
        return ask_system(system, deep(spec.request, depth), topics, watch=watch)


def deep(request: SearchRequest, depth: int) -> SearchRequest:
    """Return the request for a ranking of `depth` documents with the smallest answer."""
    return replace(request, k=depth, passages_per_document=1, fields=())


@contextmanager
def open_texts(spec: SystemSpec) -> Iterator[IndexReader]:
    """Open the local collection to read texts from.  Raises InputError."""
    if spec.is_url or spec.is_run:
        raise InputError(f"{spec.word!r} has no texts to read; name a collection's directory")
    _require_exists(spec)
    with open_reader(Path(spec.location)) as reader:
        yield reader


def texts_of(reader: IndexReader, ids: Collection[str]) -> dict[str, Document]:
    """Return the documents that the collection has, by id."""
    rows = [row for row in map(reader.find, ids) if row is not None]
    return {document.id: document for document in reader.documents(rows)}


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110  Path.exists raises for a name that is too long


def _require_exists(spec: SystemSpec) -> None:
    if not spec.is_url and not _exists(spec.location):
        raise NotFound(f"{spec.location}: neither a run file nor a collection has that name; check the path")


def _rerank(word: str, settings: dict[str, Any]) -> RerankOptions | None:
    """Take the settings of reranking out of `settings`."""
    name, depth, weight = (settings.pop(each, None) for each in RERANK_SETTINGS)
    if name is None and (depth is not None or weight is not None):
        raise InputError(f"{word!r}: depth and rerank_weight need a reranker; add rerank=NAME")
    return None if name is None else RerankOptions(name, depth, weight)


def _setting(word: str, name: str, value: str) -> Any:
    known = {**SETTINGS, **BM25_SETTINGS, **RERANK_SETTINGS}
    if name == BOOSTS:
        return parse_boosts(value)
    if name not in known:
        raise InputError(f"{word!r}: there is no setting {name!r}; the settings are {', '.join((*known, BOOSTS))}")
    kind = known[name]
    try:
        return {"true": True, "on": True, "false": False, "off": False}[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError) as error:
        needed = f"one of {', '.join(kind)}" if issubclass(kind, StrEnum) else f"a {kind.__name__}"
        raise InputError(f"{word!r}: {value!r} is not {needed}, which {name} needs") from error
