"""Systems to measure: what a word on the command line names, opened and ready to be asked.

run.trec                     a run file
papers                       a collection, asked as it is asked by default
papers:hybrid,weight=0.7     the same with a mode and settings of a search request
http://host:8080/papers:dense  a collection of a running service
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError, NotFound
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.metrics.files import read_run
from retrieval.metrics.pooling import DocumentText
from retrieval.metrics.run_queries import (
    ProgressCallback,
    RunProvenance,
    SearchFunction,
    describe_settings,
    run_queries,
)
from retrieval.metrics.runs import RetrievalRun, Topic
from retrieval.search.evaluated.http_collection import open_remote
from retrieval.search.searcher import open_searcher
from retrieval.types import EncoderFingerprint, Mode, SearchRequest

SETTINGS = {"filter": str, "fusion": str, "weight": float, "rrf_k": int, "exact": bool, "min_score": float}
_SPEC = re.compile(r"(?P<place>.+?)(?::(?P<mode>[A-Za-z]+)?(?P<settings>(?:(?:(?<=:)|,)[a-z_]+=.*)?))?", re.DOTALL)
_NEXT_SETTING = re.compile(r",(?=[a-z_]+=)")  # a comma in a filter's list has no such name behind it


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """What a word names: a run file, a collection's directory, or a service's collection."""

    word: str
    place: str
    request: SearchRequest

    @property
    def is_url(self) -> bool:
        """Whether the place is a running service."""
        return self.place.startswith(("http://", "https://"))

    @property
    def is_run(self) -> bool:
        """Whether the place is a run file, or a pipe that a run comes from."""
        return not self.is_url and _is_there(self.place) and not Path(self.place).is_dir()


@dataclass(frozen=True, slots=True)
class OpenSystem:
    """A collection that answers, with what identifies it.  `searcher` is None for a remote one."""

    answer: SearchFunction
    collection: str
    generation: int
    documents: int
    encoder: EncoderFingerprint
    searcher: Any = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A system's run.  `provenance` is None for a run file; `seconds` is what all its answers took."""

    label: str
    run: RetrievalRun
    provenance: RunProvenance | None = None
    seconds: float = 0.0


def parse_system(word: str) -> SystemSpec:
    """Read a word; InputError for a setting that does not exist or does not fit."""
    if _is_there(word):
        return SystemSpec(word, word, SearchRequest(""))
    match = _SPEC.fullmatch(word)
    if match is None:
        raise InputError(
            f"{word!r} names no system; write DIR, DIR:mode or DIR:mode,weight=0.7 (modes: {', '.join(Mode)})"
        )
    if match["mode"] and match["mode"] not in list(Mode):
        raise InputError(f"{word!r}: there is no mode {match['mode']!r}; modes: {', '.join(Mode)}")
    settings = {}
    for pair in filter(None, _NEXT_SETTING.split((match["settings"] or "").removeprefix(","))):
        name, _, value = pair.partition("=")
        settings[name] = _setting(word, name, value)
    mode = Mode(match["mode"]) if match["mode"] else None
    return SystemSpec(word, match["place"], replace(SearchRequest("", mode=mode), **settings))


@contextmanager
def open_system(spec: SystemSpec, *, encoder: SentenceEncoder | None = None) -> Iterator[OpenSystem]:
    """Open the collection of a spec that is no run file."""
    if spec.is_url:
        with open_remote(spec.place) as remote:
            yield OpenSystem(remote.answer, remote.collection, remote.generation, remote.documents, remote.encoder)
        return
    _require_there(spec)
    with open_searcher(Path(spec.place), encoder=encoder) as searcher:
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
    system: OpenSystem,
    label: str,
    request: SearchRequest,
    topics: Sequence[Topic],
    *,
    watch: ProgressCallback | None = None,
) -> Measured:
    """Put the queries to an open system; the run is named for what gave it."""
    asked = run_queries(system.answer, topics, request, watch=watch)
    provenance = RunProvenance(
        system.collection, system.generation, system.documents, asked.mode, system.encoder, describe_settings(request)
    )
    return Measured(label, RetrievalRun(provenance.tag, asked.run.rankings), provenance, asked.seconds)


def measure_system(
    spec: SystemSpec, topics: Sequence[Topic], depth: int, *, watch: ProgressCallback | None = None
) -> Measured:
    """The run of a spec: read, or asked for.  InputError when it must be asked and there are no queries."""
    if spec.is_run:
        return Measured(spec.word, read_run(Path(spec.place)))
    _require_there(spec)
    if not topics:
        raise InputError(f"{spec.word!r} must be asked, so queries are needed: give --queries FILE or --beir FOLDER")
    with open_system(spec) as system:
        return ask_system(system, spec.word, deep(spec.request, depth), topics, watch=watch)


def deep(request: SearchRequest, depth: int) -> SearchRequest:
    """The request for a ranking of `depth` documents, with as little beside as can be asked."""
    return replace(request, k=depth, passages_per_document=1, fields=())


@contextmanager
def open_texts(spec: SystemSpec) -> Iterator[IndexReader]:
    """Open what texts are read from: a collection on this machine.  InputError for another system."""
    if spec.is_url or spec.is_run:
        raise InputError(f"{spec.word!r} has no texts to read; name a collection's directory")
    _require_there(spec)
    with open_index_reader(Path(spec.place)) as reader:
        yield reader


def texts_of(reader: IndexReader, ids: Collection[str]) -> dict[str, DocumentText]:
    """Title and text of each of the documents that the collection has."""
    rows = [row for row in map(reader.find, ids) if row is not None]
    return {each.id: DocumentText(each.title, each.text) for each in reader.documents(rows)}


def _is_there(place: str) -> bool:
    """Whether a file, folder or pipe has that name; a name that none can have is not there."""
    return os.path.exists(place)  # noqa: PTH110  Path.exists raises for a name that is too long


def _require_there(spec: SystemSpec) -> None:
    if not spec.is_url and not _is_there(spec.place):
        raise NotFound(f"{spec.place}: neither a run file nor a collection is there")


def _setting(word: str, name: str, value: str) -> Any:
    if name not in SETTINGS:
        raise InputError(f"{word!r}: there is no setting {name!r}; settings: {', '.join(SETTINGS)}")
    kind = SETTINGS[name]
    try:
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError) as error:
        raise InputError(f"{word!r}: {value!r} is no {kind.__name__} for {name}") from error
