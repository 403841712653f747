"""Which collections there are, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from retrieval.errors import CollectionNotFound
from retrieval.search.searcher import Searcher
from service.access import Role
from service.encoders import shown_name
from service.routes.search import Name
from service.schemas.collections import CollectionDetails, CollectionsAnswer, DocumentAnswer
from service.services import Services, admitted, answer

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("", response_model=CollectionsAnswer, summary="All collections")
async def list_collections(request: Request) -> Response:
    """Names and sizes, in the order of the names."""
    known = admitted(request, Role.READ)
    return answer({"collections": await run_in_threadpool(_summaries, known, known.visible(request.state.caller))})


@router.get("/{name}", response_model=CollectionDetails, summary="One collection")
async def collection(name: Name, request: Request) -> Response:
    """Counts, generation, encoder, fields and sizes."""
    return answer(await run_in_threadpool(details, admitted(request, Role.READ, name), name))


@router.get("/{name}/documents/{document_id:path}", response_model=DocumentAnswer, summary="One document")
async def document(name: Name, document_id: str, request: Request) -> Response:
    """The document as it was given.  Slashes in the id need no escaping."""
    return answer(await run_in_threadpool(_document, admitted(request, Role.READ, name), name, document_id))


def _summaries(known: Services, names: Sequence[str]) -> list[dict[str, object]]:
    found = []
    for name in names:
        with suppress(CollectionNotFound), known.collections.lease(name) as searcher:
            found.append(_summary(name, searcher))
    return found


def _summary(name: str, searcher: Searcher) -> dict[str, object]:
    manifest = searcher.snapshot.manifest
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
        snapshot = searcher.snapshot
        encoder = asdict(snapshot.manifest.encoder)
        return {
            **_summary(name, searcher),
            "fingerprint": {**encoder, "name": shown_name(encoder["name"])},
            "fields": {field: str(kind) for field, kind in snapshot.schema.items()},
            "modes": ["dense"] if snapshot.lexical is None else ["dense", "lexical", "hybrid"],
            "size_bytes": snapshot.manifest.size_bytes,
        }


def _document(known: Services, name: str, document_id: str) -> dict[str, object]:
    with known.collections.lease(name) as searcher:
        found = searcher.document(document_id)
    return {"id": found.id, "title": found.title, "text": found.text, "metadata": found.metadata}
