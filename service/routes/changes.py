"""Changing collections: documents in and out, new collections, dropped ones."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from indexer.building.document_changes import CollectionChange
from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from retrieval.errors import BadDocument, InputError, TooLarge
from retrieval.index.metadata.filters import compile_filter
from retrieval.types import Document, FieldType
from service.config.api_keys import Role
from service.queues.search_queue import check_maximum
from service.routes.base import JsonRoute, Services, authorized, authorized_to_change, json_response
from service.routes.collections import details
from service.routes.search import Name
from service.schemas.collections import (
    CollectionBody,
    CollectionDetails,
    DeleteBody,
    DocumentBody,
    DocumentsBody,
    JobAnswer,
)

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)

PATIENCE = 0.8  # of the time that a request has

Wait = Annotated[
    bool, Query(description="Answer when the change can be searched; with a job only if that takes too long.")
]
NewName = Annotated[str, Path(description="Name of the collection.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
QUEUED: dict[int | str, dict[str, Any]] = {202: {"model": JobAnswer, "description": "The change is on its way."}}


@router.post("/documents", response_model=JobAnswer, responses=QUEUED, summary="Add or replace documents")
async def upsert(name: Name, body: DocumentsBody, request: Request, wait: Wait = False) -> Response:
    """By id.  Documents that the collection holds as they are cost nothing."""
    services = authorized_to_change(request, Role.WRITE, name)
    most = services.settings.limits.documents
    if len(body.documents) > most:
        raise TooLarge(f"{len(body.documents):,} documents are more than this service takes at once ({most:,})")
    return await _change(services, name, CollectionChange(upserts=tuple(map(_document, body.documents))), wait)


@router.post("/documents/delete", response_model=JobAnswer, responses=QUEUED, summary="Delete documents")
async def delete_many(name: Name, body: DeleteBody, request: Request, wait: Wait = False) -> Response:
    """By ids, by a filter, or both; ids that are not there are passed over.

    A filter sees all changes that were asked for before.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    if not body.ids and not body.filter.strip():
        raise InputError("name the documents to delete: ids, a filter, or both")
    condition = body.filter.strip()
    check_maximum("the filter's characters", len(condition), services.settings.limits.filter_characters)
    _check_filter(services, name, condition)
    return await _change(services, name, CollectionChange(deletes=tuple(body.ids), filter=condition), wait)


@router.delete("/documents/{document_id:path}", response_model=JobAnswer, responses=QUEUED, summary="Delete a document")
async def delete(name: Name, document_id: str, request: Request, wait: Wait = False) -> Response:
    """404 where there is none with that id, nor one on its way."""
    services = authorized_to_change(request, Role.WRITE, name)
    coming = services.changes.adds_document(name, document_id)  # asked first: what arrives meanwhile is found
    with services.collections.lease(name) as searcher:
        if not coming:
            searcher.reader.document_row(document_id)  # raises DocumentNotFound
    return await _change(services, name, CollectionChange(deletes=(document_id,)), wait)


@router.get("/jobs/{job_id}", response_model=JobAnswer, summary="How far a change is")
async def job(name: Name, job_id: str, request: Request) -> Response:
    """Jobs are forgotten when the service restarts; what they committed stays."""
    return json_response(authorized(request, Role.READ, name).changes.job(name, job_id).to_json())


@router.put("", response_model=CollectionDetails, status_code=201, summary="Make a collection")
async def create(name: NewName, body: CollectionBody, request: Request) -> Response:
    """Empty, with an encoder that the service has; 409 where there is one of that name."""
    services = authorized_to_change(request, Role.ADMIN, name)
    encoder = services.encoders.resolve(body.encoder)
    schema = None if body.fields is None else {field: FieldType(kind) for field, kind in body.fields.items()}
    await services.threads.run(services.collections.create, name, lambda: services.encoders.get(encoder), schema)
    return json_response(await services.threads.run(details, services, name), 201)


@router.delete("", status_code=204, summary="Drop a collection")
async def drop(name: Name, request: Request) -> Response:
    """With all its generations.  Requests that use it are finished first; changes that wait for it fail."""
    services = authorized_to_change(request, Role.ADMIN, name)
    await services.threads.run(_drop, services, name)
    return Response(status_code=204)


def _drop(services: Services, name: str) -> None:
    services.collections.drop(name)
    services.changes.forget(name)
    services.recall.forget(name)


async def _change(services: Services, name: str, change: CollectionChange, wait: bool) -> Response:
    job = services.changes.submit(name, change)
    if not wait:
        return json_response(job.to_json(), 202)
    try:
        async with asyncio.timeout(PATIENCE * services.settings.limits.seconds):
            await services.changes.finished(job)
    except TimeoutError:
        return json_response(job.to_json(), 202)
    if job.error:
        raise job.error
    return json_response(job.to_json())


def _document(body: DocumentBody) -> Document:
    record = {
        "id": body.id,
        "title": body.title,
        "text": body.text,
        **(body.model_extra or {}),
        "metadata": body.metadata,
    }
    try:
        return document_from(record, ReadOptions(id_field="id"))
    except BadDocument as error:
        raise BadDocument(f"document {body.id!r}: {error}") from error


def _check_filter(services: Services, name: str, expression: str) -> None:
    """Raise FilterError now rather than when the change's turn comes."""
    if expression:
        with services.collections.lease(name) as searcher:
            compile_filter(expression, searcher.reader.schema)
