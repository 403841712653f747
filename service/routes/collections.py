"""Which collections there are, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from indexer.building.document_changes import matching_rows
from retrieval.errors import CollectionNotFound
from retrieval.search.searcher import Searcher
from retrieval.types import Document
from service.config.api_keys import Role
from service.dependencies import Services, admitted, answer
from service.queues.search_queue import check_limit
from service.routes.search import Name
from service.runtime.encoder_registry import shown_name
from service.schemas.collections import CollectionDetails, CollectionsAnswer, DocumentAnswer, DocumentsAnswer

Filter = Annotated[str, Query(description="Only those that match, such as `year > 2000`.")]
Id = Annotated[str | None, Query(description="Only the document with this id, whatever characters it has.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000, description="How many to skip.")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="How many to return.")]

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("", response_model=CollectionsAnswer, summary="All collections")
async def list_collections(request: Request) -> Response:
    """Names and sizes, in the order of the names."""
    known = admitted(request, Role.READ)
    return answer({"collections": await known.offload.run(_summaries, known, known.visible(request.state.caller))})


@router.get("/{name}", response_model=CollectionDetails, summary="One collection")
async def collection(name: Name, request: Request) -> Response:
    """Counts, generation, encoder, fields and sizes."""
    known = admitted(request, Role.READ, name)
    return answer(await known.offload.run(details, known, name))


@router.get("/{name}/documents", response_model=DocumentsAnswer, summary="Documents, page by page")
async def documents(
    name: Name, request: Request, id: Id = None, filter: Filter = "", offset: Offset = 0, limit: Limit = 100
) -> Response:
    """In the order in which they were written; a generation that comes in between may shift the pages.

    With `id`, a page of one document or of none: for ids that a path cannot hold, such as `../report`.
    """
    known = admitted(request, Role.READ, name)
    check_limit("the filter's characters", len(filter), known.settings.limits.filter_characters)
    return answer(await known.offload.run(_page, known, name, id, filter, slice(offset, offset + limit)))


@router.get("/{name}/documents/{document_id:path}", response_model=DocumentAnswer, summary="One document")
async def document(name: Name, document_id: str, request: Request) -> Response:
    """The document as it was given.  Slashes in the id need no escaping."""
    known = admitted(request, Role.READ, name)
    return answer(await known.offload.run(_document, known, name, document_id))


def _summaries(known: Services, names: Sequence[str]) -> list[dict[str, object]]:
    found = []
    for name in names:
        with suppress(CollectionNotFound), known.collections.lease(name) as searcher:
            found.append(_summary(name, searcher))
    return found


def _summary(name: str, searcher: Searcher) -> dict[str, object]:
    manifest = searcher.reader.manifest
    return {
        "name": name,
        "documents": manifest.documents,
        "passages": manifest.passages,
        "generation": manifest.generation,
        "encoder": shown_name(manifest.encoder.name),
    }


def details(known: Services, name: str) -> dict[str, object]:
    """What `GET /v1/collections/{name}` answers."""
    with known.collections.lease(name) as searcher:
        reader = searcher.reader
        encoder = asdict(reader.manifest.encoder)
        return {
            **_summary(name, searcher),
            "fingerprint": {**encoder, "name": shown_name(encoder["name"])},
            "fields": {field: str(kind) for field, kind in reader.schema.items()},
            "modes": ["dense"] if reader.lexical is None else ["dense", "lexical", "hybrid"],
            "size_bytes": reader.manifest.size_bytes,
            "recall": _recall(known, name),
        }


def _recall(known: Services, name: str) -> dict[str, object] | None:
    found = known.recall.estimate(name)
    if found is None:
        return None
    return {"ratio": found.recall, "low": found.low, "high": found.high, "queries": found.queries}


def _page(known: Services, name: str, document_id: str | None, expression: str, page: slice) -> dict[str, object]:
    with known.collections.lease(name) as searcher:
        rows = matching_rows(searcher.reader, expression)
        if document_id is not None:
            rows = rows[rows == searcher.reader.find(document_id)]
        found = searcher.reader.documents(rows[page])
    return {"documents": list(map(_shown, found)), "total": len(rows)}


def _shown(document: Document) -> dict[str, object]:
    return {"id": document.id, "title": document.title, "text": document.text, "metadata": document.metadata}


def _document(known: Services, name: str, document_id: str) -> dict[str, object]:
    with known.collections.lease(name) as searcher:
        return _shown(searcher.document(document_id))
