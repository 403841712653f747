"""Collections and their documents: lists, details, overview and map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from sys import getsizeof
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from indexer.building.document_changes import matching_rows
from indexer.maintenance.rollback import log_entries
from retrieval.errors import BadQuery, CollectionNotFound, StaleCursor
from retrieval.index.collection.document_store import document_bytes
from retrieval.index.collection.document_tag import document_tag
from retrieval.index.metadata.given import shown_metadata
from retrieval.search.answer_size import first_part
from retrieval.search.overview import countable_fields, field_values, overview, project
from retrieval.search.ranking import ordered_by_field
from retrieval.search.searcher import Searcher
from retrieval.types import Document
from retrieval.util.work_budget import spend_answer_bytes
from service.client.answers.collections import (
    CollectionDetails,
    CollectionsAnswer,
    DocumentAnswer,
    DocumentsAnswer,
    TextPartAnswer,
)
from service.client.answers.overview import OverviewAnswer
from service.config.api_keys import Role
from service.http.entity_tags import with_tag
from service.queues.search_limits import check_maximum, check_values
from service.routes.base import Services, authorized, json_answer, json_response
from service.routes.generations import require_generation
from service.routes.search import Name
from service.runtime.encoder_registry import shown_name
from service.schemas.collections import DocumentsParameters, TextParameters
from service.schemas.pages import ProjectionAnswer

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("", response_model=CollectionsAnswer, summary="All collections")
async def list_collections(request: Request) -> Response:
    """Return names and sizes, ordered by name."""
    services = authorized(request, Role.READ)
    visible = services.visible(request.state.caller)
    return json_response({"collections": await services.threads.run(_summaries, services, visible)})


@router.get("/{name}", response_model=CollectionDetails, summary="One collection")
async def collection(name: Name, request: Request) -> Response:
    """Return counts, generation, encoder, fields and sizes."""
    services = authorized(request, Role.READ, name)
    writable = services.settings.accepts_changes and request.state.caller.role >= Role.WRITE
    return json_response({**await services.threads.run(details, services, name), "writable": writable})


@router.get("/{name}/documents", response_model=DocumentsAnswer, summary="Documents, page by page")
async def documents(name: Name, parameters: Annotated[DocumentsParameters, Query()], request: Request) -> Response:
    """Return them in the order in which they were written, or ordered by a field.

    A new generation may shift the pages; with `after` it is an error. With `id`, the page has one document or none: for
    ids that a path cannot hold, such as `../report`.
    """
    services = authorized(request, Role.READ, name)
    check_maximum("the filter's characters", len(parameters.filter), services.settings.limits.filter_characters)
    await require_generation(services, name, parameters.min_generation, request)
    return await json_answer(await services.threads.run(_page, services, name, parameters))


@router.get("/{name}/documents/{document_id:path}", response_model=DocumentAnswer, summary="One document")
async def document(name: Name, document_id: str, request: Request) -> Response:
    """Return the document as the user added it.  Slashes in the id need no escaping."""
    services = authorized(request, Role.READ, name)
    found = await services.threads.run(_document, services, name, document_id)
    return with_tag(json_response(_shown(found)), document_tag(found))


@router.get("/{name}/text", response_model=TextPartAnswer, summary="A part of a document's text")
async def text_part(name: Name, parameters: Annotated[TextParameters, Query()], request: Request) -> Response:
    """Return whole sentences from `start` on, in at most `max_tokens` tokens."""
    services = authorized(request, Role.READ, name)
    return json_response(await services.threads.run(_text_part, services, name, parameters))


def _summaries(services: Services, names: Sequence[str]) -> list[dict[str, object]]:
    found = []
    for name in names:
        with suppress(CollectionNotFound), services.collections.lease(name) as searcher:
            found.append(_summary(services, name, searcher))
    return found


def _summary(services: Services, name: str, searcher: Searcher) -> dict[str, object]:
    manifest = searcher.reader.manifest
    return {
        "name": name,
        "documents": manifest.documents,
        "passages": manifest.passages,
        "generation": manifest.generation,
        "encoder": shown_name(manifest.encoder.name),
        "originals": len(services.originals.of(searcher.reader.path)),
    }


def details(services: Services, name: str) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        reader = searcher.reader
        encoder, lexical = asdict(reader.manifest.encoder), reader.manifest.settings.lexical
        return {
            **_summary(services, name, searcher),
            "fingerprint": {**encoder, "name": shown_name(encoder["name"])},
            "fields": {field: str(kind) for field, kind in reader.schema.items()},
            "expires": reader.manifest.settings.expires,
            "searched_fields": dict(lexical.searched) if lexical else {},
            "modes": [mode.value for mode in reader.modes],
            "size_bytes": reader.manifest.size_bytes,
            "recall": _recall(services, name),
            "source_age_seconds": services.copies.ages_s().get(name),
        }


def _recall(services: Services, name: str) -> dict[str, object] | None:
    found = services.recall.estimate(name)
    if found is None:
        return None
    return {"ratio": found.recall, "low": found.low, "high": found.high, "queries": found.queries}


def _page(services: Services, name: str, wanted: DocumentsParameters) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        reader = searcher.reader
        rows = matching_rows(reader, wanted.filter)
        if wanted.id is not None:
            rows = rows[rows == reader.find(wanted.id)]
        if wanted.sort:
            check_values(len(rows) * (1 + wanted.sort.count(",")), services.settings.limits)
            rows = ordered_by_field(reader, rows, wanted.sort)
        generation = reader.manifest.generation
        first = _position(wanted, generation)
        found = reader.documents(rows[first : first + wanted.limit])
    spend_answer_bytes(sum(map(document_bytes, found)))
    last = first + wanted.limit
    cursor = f"{generation}.{last}" if last < len(rows) else None
    return {"documents": list(map(_shown, found)), "total": len(rows), "next": cursor}


def _position(wanted: DocumentsParameters, generation: int) -> int:
    """Return the number of documents before a page.  Raises BadQuery, StaleCursor."""
    if not wanted.after:
        return wanted.offset
    cursor = re.fullmatch(r"(\d{1,18})\.(\d{1,18})", wanted.after, re.ASCII)
    if cursor is None:
        raise BadQuery(f"after is {wanted.after!r}; give `next` of the page before, or leave it out")
    if wanted.offset:
        raise BadQuery("after and offset both say where the page begins; give one of both")
    if int(cursor[1]) != generation:
        raise StaleCursor(
            f"after is of generation {cursor[1]}, and the collection has generation {generation} now; "
            "begin again without after"
        )
    return int(cursor[2])


def _shown(document: Document) -> dict[str, object]:
    metadata = shown_metadata(document)
    return {"id": document.id, "title": document.title, "text": document.text, "metadata": metadata}


def _document(services: Services, name: str, document_id: str) -> Document:
    with services.collections.lease(name) as searcher:
        return searcher.document(document_id)


def _text_part(services: Services, name: str, wanted: TextParameters) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        document = searcher.document(wanted.id)
        rest = document.text[wanted.start :]
        end = wanted.start + len(first_part(rest, wanted.max_tokens, searcher.encoder.tokenizer))
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text[wanted.start : end],
        "start": wanted.start,
        "end": max(wanted.start, end),
        "length": len(document.text),
        "next_start": end if end < len(document.text) else None,
    }


MAX_COLOUR_FIELDS = 4  # fields to colour the map by


@router.get("/{name}/overview", response_model=OverviewAnswer, summary="Fields and generations")
async def collection_overview(name: Name, request: Request) -> Response:
    """Return the fields and the kept generations.

    Each field comes with its most frequent values or its extremes; generations come newest first.
    """
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.slow.run(_overview, services, name))


@router.get("/{name}/projection", response_model=ProjectionAnswer, summary="A map of the vectors")
async def projection(name: Name, request: Request) -> Response:
    """Return a sample of the passages on the first two principal components."""
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.slow.run(_projection, services, name))


def _overview(services: Services, name: str) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        fields = overview(searcher.reader)
    spend_answer_bytes(sum(getsizeof(count.value) for field in fields for count in field.values))
    generations = [
        {
            "generation": entry.generation,
            "current": entry.current,
            "committed": entry.created,
            "documents": entry.documents,
            "passages": entry.passages,
            "size_bytes": entry.size_bytes,
        }
        for entry in log_entries(services.collections.path(name))
    ]
    return {
        "fields": fields,
        "generations": generations,
        "source_age_seconds": services.copies.ages_s().get(name),
    }


def _projection(services: Services, name: str) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        reader = searcher.reader
        found = project(reader)
        documents = reader.document_of[found.rows]
        ids, titles = reader.ids(documents), reader.titles(documents)
        spend_answer_bytes(sum(map(getsizeof, (*ids, *titles))))
        colour_fields = countable_fields(reader)[:MAX_COLOUR_FIELDS]
        fields = {field: field_values(reader, field, documents) for field in colour_fields}
    return {
        "generation": reader.manifest.generation,
        "ids": ids,
        "titles": [title or id_ for id_, title in zip(ids, titles, strict=True)],
        "x": found.x.tolist(),
        "y": found.y.tolist(),
        "explained": found.explained,
        "fields": fields,
    }
