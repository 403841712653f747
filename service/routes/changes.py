"""Changes of collections: add and delete documents, create and drop collections."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange
from indexer.building.document_patches import DocumentPatch
from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from retrieval.errors import BadDocument, InputError, TooLarge
from retrieval.index.collection.document_store import document_bytes
from retrieval.index.metadata.filters import compile_filter
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Document, FieldType
from service.client.answers.collections import CollectionDetails
from service.client.answers.jobs import JobAnswer
from service.config.api_keys import Role
from service.http.entity_tags import IfMatch, accepted_tags
from service.queues.search_limits import check_maximum
from service.routes.base import JsonRoute, Services, authorized_to_change, json_response
from service.routes.collections import details
from service.routes.jobs import QUEUED, answer_change
from service.routes.search import Name
from service.runtime.open_collections import COLLECTION_NAME
from service.schemas.collections import (
    ChangeParameters,
    CollectionBody,
    DeleteBody,
    DocumentBody,
    DocumentsBody,
    PatchBody,
    PatchesBody,
)

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)

Parameters = Annotated[ChangeParameters, Query()]
NewName = Annotated[str, Path(description="Name of the collection.", pattern=f"^{COLLECTION_NAME}$")]


@router.post("/documents", response_model=JobAnswer, responses=QUEUED, summary="Add or replace documents")
async def upsert(name: Name, body: DocumentsBody, parameters: Parameters, request: Request) -> Response:
    """Replace by id.  Documents that the collection holds unchanged cost nothing."""
    services = authorized_to_change(request, Role.WRITE, name)
    maximum = services.settings.limits.documents
    if len(body.documents) > maximum:
        raise TooLarge(f"{len(body.documents):,} documents are over the limit of {maximum:,}; send them in parts")
    change = await services.threads.run(_upserts, body, services.settings.queue.change_bytes)
    return await answer_change(services, request, name, change, parameters)


@router.patch("/documents", response_model=JobAnswer, responses=QUEUED, summary="Change some fields of documents")
async def patch_many(name: Name, body: PatchesBody, parameters: Parameters, request: Request) -> Response:
    """Apply merge patches in one generation.  Only new titles and texts are encoded.

    A document with a patch that cannot be applied, or with an unknown id, stays as it is; `failures` says why.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    maximum = services.settings.limits.patches
    if len(body.documents) > maximum:
        raise TooLarge(f"{len(body.documents):,} patches are over the limit of {maximum:,}; send them in parts")
    patches = tuple(DocumentPatch(each.id, each.changes()) for each in body.documents)
    return await answer_change(services, request, name, CollectionChange(patches=patches), parameters)


@router.patch(
    "/documents/{document_id:path}",
    response_model=JobAnswer,
    responses=QUEUED,
    summary="Change some fields of a document",
)
async def patch(
    name: Name,
    document_id: str,
    body: PatchBody,
    parameters: Parameters,
    request: Request,
    if_match: IfMatch = None,
) -> Response:
    """Apply a JSON merge patch (RFC 7396): null removes a value, other values replace.

    Return 404 if neither the collection nor a waiting change has the document.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    _require_document(services, name, document_id)
    change = CollectionChange(patches=(DocumentPatch(document_id, body.changes()),), tags=_tags(document_id, if_match))
    return await answer_change(services, request, name, change, parameters)


@router.post("/documents/delete", response_model=JobAnswer, responses=QUEUED, summary="Delete documents")
async def delete_many(name: Name, body: DeleteBody, parameters: Parameters, request: Request) -> Response:
    """Delete by ids, by a filter, or both; ignore unknown ids.

    A filter sees all changes that were requested before.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    if not body.ids and not body.filter.strip():
        raise InputError("name the documents to delete: ids, a filter, or both")
    condition = body.filter.strip()
    check_maximum("the filter's characters", len(condition), services.settings.limits.filter_characters)
    _check_filter(services, name, condition)
    change = CollectionChange(deletes=tuple(body.ids), filter=condition, now=datetime.now(UTC))
    return await answer_change(services, request, name, change, parameters)


@router.delete("/documents/{document_id:path}", response_model=JobAnswer, responses=QUEUED, summary="Delete a document")
async def delete(
    name: Name, document_id: str, parameters: Parameters, request: Request, if_match: IfMatch = None
) -> Response:
    """Return 404 if neither the collection nor a waiting change has the document."""
    services = authorized_to_change(request, Role.WRITE, name)
    _require_document(services, name, document_id)
    change = CollectionChange(deletes=(document_id,), tags=_tags(document_id, if_match))
    return await answer_change(services, request, name, change, parameters)


@router.put("", response_model=CollectionDetails, status_code=201, summary="Create a collection")
async def create(name: NewName, body: CollectionBody, request: Request) -> Response:
    """Create it empty; 409 if a collection of that name exists."""
    services = authorized_to_change(request, Role.ADMIN, name)
    encoder = services.encoders.resolve(body.encoder)
    schema = None if body.fields is None else {field: FieldType(kind) for field, kind in body.fields.items()}
    lexical = LexicalSettings(searched=tuple(body.searched_fields.items()))
    make = partial(create_collection, schema=schema, lexical=lexical, expires=body.expires)
    await services.threads.run(
        services.collections.create, name, lambda path: make(path, services.encoders.get(encoder))
    )
    return json_response(await services.threads.run(details, services, name), 201)


@router.delete("", status_code=204, summary="Drop a collection")
async def drop(name: Name, request: Request) -> Response:
    """Drop it.  Running requests finish first; waiting changes fail."""
    services = authorized_to_change(request, Role.ADMIN, name)
    await services.threads.run(_drop, services, name)
    return Response(status_code=204)


def _drop(services: Services, name: str) -> None:
    path = services.collections.path(name) if name in services.collections.names() else None
    services.collections.drop(name)
    if path is not None:
        services.changes.forget(name, path)
    services.recall.forget(name)


def _tags(document_id: str, if_match: str | None) -> dict[str, tuple[str, ...]]:
    tags = accepted_tags(if_match)
    return {document_id: tags} if tags else {}


def _require_document(services: Services, name: str, document_id: str) -> None:
    """Raise DocumentNotFound unless the collection or a waiting change has it."""
    waiting = services.changes.adds_document(name, document_id)  # before the look-up, so that no change is missed
    with services.collections.lease(name) as searcher:
        if not waiting:
            searcher.reader.document_row(document_id)


def _upserts(body: DocumentsBody, max_bytes: int) -> CollectionChange:
    """Return the change.  Raises TooLarge if it takes more than `max_bytes`."""
    documents: list[Document] = []
    size = 0
    for each in body.documents:
        documents.append(_document(each))
        size += document_bytes(documents[-1])
        if size > max_bytes:
            raise TooLarge(f"the documents take more than {max_bytes:,} bytes of memory; send them in parts")
    return CollectionChange(upserts=tuple(documents))


def _document(body: DocumentBody) -> Document:
    extra = body.model_extra or {}
    record = {"id": body.id, "title": body.title, "text": body.text, **extra, "metadata": body.metadata}
    try:
        return document_from(record, ReadOptions(id_field="id"))
    except BadDocument as error:
        raise BadDocument(f"document {body.id!r}: {error}") from error


def _check_filter(services: Services, name: str, expression: str) -> None:
    """Raise FilterError now, not when the change is applied."""
    if expression:
        with services.collections.lease(name) as searcher:
            compile_filter(expression, searcher.reader.schema)
