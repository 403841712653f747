"""MTEB adapter: `mteb.evaluate(AttendexSearch(folder), tasks)` runs the pipeline.

It implements mteb's SearchProtocol.  It has no method `predict`, since mteb takes such a class for a cross-encoder.
Import this module only if mteb is installed (`pip install 'attendex[mteb]'`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.building.pipeline import BuildSettings, build_collection
from indexer.evaluation.mteb_texts import document_record, query_text
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import InputError, MissingExtra
from retrieval.index.metadata.filter_parser import MAX_LENGTH
from retrieval.index.metadata.filter_text import id_parts, ids_filter
from retrieval.index.storage.settings import ChunkSettings
from retrieval.metrics.run_queries import BATCH
from retrieval.metrics.runs import strictly_decreasing
from retrieval.search.request_limits import MAX_DEPTH
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

        Rows without both are left out: no search could find them.  Raises InputError for rows of images or sounds.
        """
        self.close()
        name = re.sub(r"[^\w.-]+", "-", f"{task_metadata.name}-{hf_subset}-{hf_split}")
        self._folder.mkdir(parents=True, exist_ok=True)
        documents = self._folder / f"{name}.jsonl"
        with documents.open("w", encoding="utf-8") as file:
            for record in filter(None, map(document_record, corpus)):
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

        With `top_ranked`, the ids of each query's candidates, only these are ranked.  A query without text has no hits.
        """
        if self._searcher is None:
            raise InputError("there is no corpus; call `index` before `search`")
        texts = {str(row["id"]): query_text(row) for row in queries}
        found: dict[str, dict[str, float]] = {query: {} for query in texts}
        searches = [
            (query, search)
            for query, text in texts.items()
            if text
            for search in self._requests(text, top_k, None if top_ranked is None else top_ranked.get(query, ()))
        ]
        for start in range(0, len(searches), BATCH):
            batch = searches[start : start + BATCH]
            results = self._searcher.search_many([search for query, search in batch])
            for (query, _search), result in zip(batch, results, strict=True):
                found[query] |= {hit.id: hit.score for hit in result.hits}
        return {query: _ranked(scores, top_k) for query, scores in found.items()}

    def _requests(self, text: str, top_k: int, candidates: Sequence[str] | None) -> Iterator[SearchRequest]:
        """Yield the searches of a query: one, or as many as its candidates need."""
        assert self._searcher is not None
        template = replace(self._request, query=text, passages_per_document=1)
        if candidates is None:
            documents = int(self._searcher.reader.live_documents.sum())
            yield replace(template, k=max(1, min(top_k, documents, MAX_DEPTH)))
            return
        for part in id_parts(map(str, candidates), MAX_LENGTH):
            own = f"({template.filter}) AND " if template.filter else ""
            yield replace(template, k=min(len(part), MAX_DEPTH), filter=own + ids_filter(part))

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
            use_instructions=True,
            training_datasets=None,
        )


def _ranked(scores: Mapping[str, float], top_k: int) -> dict[str, float]:
    """Return the best documents, in an order that no reader of the scores changes."""
    best = sorted(scores, key=lambda document: (-scores[document], document))[:top_k]
    ordered = strictly_decreasing(np.array([scores[document] for document in best], np.float64))
    return dict(zip(best, ordered.tolist(), strict=True))
