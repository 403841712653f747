"""Run the queries of an evaluation through a search function, which gives a run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from retrieval.metrics.runs import RankedDocuments, RetrievalRun, Topic, make_ranking
from retrieval.results import SearchResult
from retrieval.types import EncoderFingerprint, Mode, SearchRequest, Syntax

BATCH = 32  # queries encoded together

SearchFunction: TypeAlias = Callable[[Sequence[SearchRequest]], Sequence[SearchResult]]
ProgressCallback: TypeAlias = Callable[[int], None]  # takes the number of finished queries


@dataclass(frozen=True, slots=True)
class RunProvenance:
    """The collection, encoder and settings behind a run, so that it can be reproduced."""

    collection: str
    generation: int
    documents: int
    mode: str
    encoder: EncoderFingerprint
    settings: str = ""  # other than the defaults, as "weight=0.7,exact=True"
    syntax: Syntax = Syntax.PLAIN  # of the queries; among the settings, too, if it is not the default

    @property
    def tag(self) -> str:
        """The tag of the run: the last field of the lines of a run file."""
        parts = ["attendex", self.collection, f"g{self.generation}", self.mode, self.encoder.weights_sha256[:12]]
        return "/".join("_".join(part.split()) for part in [*parts, self.settings] if part)


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A new run, the mode that the searches used, and the time of all queries."""

    run: RetrievalRun
    mode: Mode
    seconds: float


def run_queries(
    search: SearchFunction, topics: Sequence[Topic], template: SearchRequest, *, watch: ProgressCallback | None = None
) -> TimedRun:
    """Search for each topic with the settings of `template`; return the run."""
    started = time.perf_counter()
    rankings: dict[str, RankedDocuments] = {}
    modes: set[Mode] = set()
    for start in range(0, len(topics), BATCH):
        batch = topics[start : start + BATCH]
        results = search([replace(template, query=topic.text) for topic in batch])
        for topic, result in zip(batch, results, strict=True):
            hits = result.hits
            rankings[topic.id] = make_ranking([hit.id for hit in hits], [hit.score for hit in hits])
            modes.add(result.mode)
        if watch is not None:
            watch(len(rankings))
    seconds = time.perf_counter() - started
    (mode,) = modes or {template.mode or Mode.DENSE}
    return TimedRun(RetrievalRun("attendex", rankings), mode, seconds)


def describe_settings(request: SearchRequest) -> str:
    """Return the ranking settings of a request that differ from the defaults, as text."""
    default = asdict(SearchRequest(""))
    ignored = ("query", "k", "offset", "mode", "passages_per_document", "fields", "highlight", "rerank", "bm25")
    given = {name: value for name, value in asdict(request).items() if name not in ignored and value != default[name]}
    if rerank := request.rerank:
        reranking = {"rerank": rerank.model, "depth": rerank.depth, "rerank_weight": rerank.weight}
        given |= {name: value for name, value in reranking.items() if value is not None}
    given |= request.bm25.given if request.bm25 else {}
    if request.boosts:
        given["boosts"] = json.dumps([each.options for each in request.boosts], ensure_ascii=False)
    return ",".join(f"{name}={value}" for name, value in given.items())
