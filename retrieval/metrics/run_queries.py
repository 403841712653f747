"""Put queries to anything that answers searches, and keep what it ranks as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from retrieval.metrics.runs import RankedDocuments, RetrievalRun, Topic, make_ranking
from retrieval.types import EncoderFingerprint, Mode, SearchRequest, SearchResult

BATCH = 32  # queries encoded together

SearchFunction: TypeAlias = Callable[[Sequence[SearchRequest]], Sequence[SearchResult]]
ProgressCallback: TypeAlias = Callable[[int], None]  # told how many queries are answered


@dataclass(frozen=True, slots=True)
class RunProvenance:
    """What gave a run, so that its figures can be had again."""

    collection: str
    generation: int
    documents: int
    mode: str
    encoder: EncoderFingerprint
    settings: str = ""  # what was asked for beyond the mode, as "weight=0.7,exact=True"

    @property
    def tag(self) -> str:
        """The last field of a run file's lines."""
        parts = ["attendex", self.collection, f"g{self.generation}", self.mode, self.encoder.weights_sha256[:12]]
        return "/".join("_".join(part.split()) for part in [*parts, self.settings] if part)


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A run that was just made: which mode answered and how long all queries took."""

    run: RetrievalRun
    mode: Mode
    seconds: float


def run_queries(
    answer: SearchFunction, topics: Sequence[Topic], template: SearchRequest, *, watch: ProgressCallback | None = None
) -> TimedRun:
    """Ask every query with the settings of `template`; the answers' order is the run's order."""
    started = time.perf_counter()
    rankings: dict[str, RankedDocuments] = {}
    modes: set[Mode] = set()
    for some in _batches(topics):
        results = answer([replace(template, query=topic.text) for topic in some])
        for topic, result in zip(some, results, strict=True):
            hits = result.hits
            rankings[topic.id] = make_ranking([hit.id for hit in hits], [hit.score for hit in hits])
            modes.add(result.mode)
        if watch is not None:
            watch(len(rankings))
    seconds = time.perf_counter() - started
    (mode,) = modes or {template.mode or Mode.DENSE}
    return TimedRun(RetrievalRun("attendex", rankings), mode, seconds)


def describe_settings(request: SearchRequest) -> str:
    """What a request asks for beyond the defaults, what decides no ranking aside."""
    default = asdict(SearchRequest(""))
    aside = ("query", "k", "offset", "mode", "passages_per_document", "fields", "highlight")
    given = {name: value for name, value in asdict(request).items() if name not in aside and value != default[name]}
    return ",".join(f"{name}={value}" for name, value in given.items())


def _batches(topics: Sequence[Topic]) -> Iterator[Sequence[Topic]]:
    for start in range(0, len(topics), BATCH):
        yield topics[start : start + BATCH]
