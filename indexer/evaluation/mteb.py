"""MTEB adapter: `mteb.evaluate(AttendexSearch(folder), tasks)` runs the pipeline.

It implements mteb's SearchProtocol.  It has no method `predict`, since mteb takes such a class for a cross-encoder.
Import this module only if mteb is installed (`pip install 'attendex[mteb]'`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import InputError, MissingExtra
from retrieval.index.storage.settings import ChunkSettings
from retrieval.metrics.run_queries import run_queries
from retrieval.metrics.runs import RankedDocuments, Topic, strictly_decreasing
from retrieval.search.request import MAX_DEPTH
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import SearchRequest

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta


class AttendexSearch:
    """A search pipeline for MTEB, with one collection for each corpus in `folder`.

    An unchanged collection is used again.  `request` has the settings of every search, such as mode and weight.
    """

    def __init__(self, folder: Path | str, *, encoder: str = DEFAULT, request: SearchRequest | None = None) -> None:
        self._folder = Path(folder)
        self._encoder_name = encoder
        self._encoder = load_encoder(encoder)
        self._request = request or SearchRequest("")
        self._searcher: Searcher | None = None

    def close(self) -> None:
        """Close the last collection."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None

    def index(
        self, corpus: Iterable[Mapping[str, Any]], *, task_metadata: Any, hf_split: str, hf_subset: str, **_: Any
    ) -> None:
        """Index rows of `id`, `text` and an optional `title`, each as one passage.

        Rows without both are left out: no search could find them.
        """
        self.close()
        name = re.sub(r"[^\w.-]+", "-", f"{task_metadata.name}-{hf_subset}-{hf_split}")
        self._folder.mkdir(parents=True, exist_ok=True)
        documents = self._folder / f"{name}.jsonl"
        with documents.open("w", encoding="utf-8") as file:
            for row in corpus:
                record = {"id": str(row["id"]), "title": _text(row, "title"), "text": _text(row, "text")}
                if record["title"] or record["text"]:
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
        settings = BuildSettings(encoder=self._encoder_name, chunking=ChunkSettings("whole"))
        build_collection([documents], self._folder / name, settings)
        documents.unlink()
        self._searcher = open_searcher(self._folder / name, encoder=self._encoder)

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Return query id → document id → score; no scores are equal, to keep the order.

        A query without text has no hits.
        """
        if self._searcher is None:
            raise InputError("there is no corpus; call `index` before `search`")
        texts = {str(row["id"]): _text(row, "text") for row in queries}
        topics = [Topic(query, text) for query, text in texts.items() if text]
        depth = min(self._depth(top_k, top_ranked), MAX_DEPTH)
        template = replace(self._request, k=depth, passages_per_document=1)
        rankings = run_queries(self._searcher.search_many, topics, template).run.rankings
        if top_ranked is not None:
            rankings = {query: _restrict(ranking, top_ranked.get(query, ())) for query, ranking in rankings.items()}
        found = {query: _scores(ranking, top_k) for query, ranking in rankings.items()}
        return {query: found.get(query, {}) for query in texts}

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """The model facts for mteb; the revision is the SHA-256 of the weights."""
        try:
            from mteb.models.model_meta import ModelMeta
        except ImportError as error:
            raise MissingExtra("mteb", "evaluation by MTEB") from error
        fingerprint = self._encoder.fingerprint
        return ModelMeta(
            loader=None,
            name=f"attendex/{Path(fingerprint.name).name}",
            revision=fingerprint.weights_sha256,
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=fingerprint.max_tokens,
            embed_dim=fingerprint.dimension,
            license=None,
            open_weights=True,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name=None,
            use_instructions=bool(fingerprint.query_prompt or fingerprint.passage_prompt),
            training_datasets=None,
        )

    def _depth(self, top_k: int, top_ranked: Mapping[str, Sequence[str]] | None) -> int:
        """Return the search depth: `top_k`, or all documents if `top_ranked` is given."""
        assert self._searcher is not None
        documents = int(self._searcher.reader.live_documents.sum())
        if top_ranked is None:
            return min(top_k, documents)
        if documents > MAX_DEPTH:
            raise InputError(f"reranking tasks need a corpus of at most {MAX_DEPTH:,} documents, not {documents:,}")
        return documents


def _text(row: Mapping[str, Any], field: str) -> str:
    """Return a field of a row as text; "" if it is missing, null or white space."""
    value = str(row.get(field) or "")
    return value if value.strip() else ""


def _restrict(ranking: RankedDocuments, allowed: Sequence[str]) -> RankedDocuments:
    allowed_ids = set(allowed)
    rows = [row for row, document in enumerate(ranking.ids) if document in allowed_ids]
    return RankedDocuments(tuple(ranking.ids[row] for row in rows), ranking.scores[rows])


def _scores(ranking: RankedDocuments, top_k: int) -> dict[str, float]:
    return dict(zip(ranking.ids[:top_k], strictly_decreasing(ranking.scores[:top_k]).tolist(), strict=True))
