"""Originals: the files from which documents were read, as they were uploaded.

A file comes from a stranger. The browser shows only PDF and plain text, by the format that our reader has found; every
other file is downloaded. No type is guessed, and no script, form or frame of a file runs in the origin of the service.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import FileResponse

from retrieval.errors import DocumentNotFound, NotFound
from retrieval.index.collection.originals import Original, original_path
from service.client.answers.originals import OriginalsAnswer
from service.config.api_keys import Role
from service.routes import collections
from service.routes.base import Services, authorized, json_response
from service.routes.search import Name
from service.schemas.uploads import OriginalsParameters

router = APIRouter(prefix="/v1/collections/{name}", tags=["collections"])

PDF = "application/pdf"
SHOWN = {"pdf": PDF, "text": "text/plain"}  # formats that the browser shows, with their content types
OTHER = "application/octet-stream"
CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SANDBOX = f"sandbox; {CONTENT_POLICY}"
BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (PDF, "text/plain", OTHER)},
    },
    206: {"description": "The part of the file that the header Range names."},
    416: {"description": "The file has no such part."},
}


@router.get(
    "/documents/{document_id:path}/original",
    response_class=FileResponse,
    responses=BINARY,
    summary="The file of a document",
)
async def original(name: Name, document_id: str, request: Request) -> Response:
    """Return the file from which the document was read, as it was uploaded.

    A document whose own id ends in `/original` is returned itself, unless this route has a file for the id before.
    """
    services = authorized(request, Role.READ, name)
    found = await services.threads.run(_found, services, name, document_id)
    if found is None:
        with suppress(DocumentNotFound):
            return await collections.document(name, f"{document_id}/original", request)
        raise NotFound(f"no original of {document_id!r} is kept; upload its file with the option keep")
    kind = SHOWN.get(found.format, OTHER)
    path = original_path(services.collections.path(name), found)
    headers = {
        "Content-Disposition": _disposition(found, "attachment" if kind == OTHER else "inline"),
        # Safari shows no PDF of a sandboxed answer; scripts of a PDF stay in the viewer in every browser
        "Content-Security-Policy": CONTENT_POLICY if kind == PDF else SANDBOX,
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "private, no-cache",
    }
    return FileResponse(path, media_type=kind, headers=headers, stat_result=await services.threads.run(os.stat, path))


@router.get("/originals", response_model=OriginalsAnswer, summary="Which documents have an original")
async def originals(name: Name, parameters: Annotated[OriginalsParameters, Query()], request: Request) -> Response:
    """Return the originals that are kept of some documents."""
    services = authorized(request, Role.READ, name)
    return json_response({"originals": await services.threads.run(_listed, services, name, parameters.id)})


def _found(services: Services, name: str, document_id: str) -> Original | None:
    """Return the original of a document that the collection has now."""
    with services.collections.lease(name) as searcher:
        if searcher.reader.find(document_id) is None:
            return None
    return services.originals.of(services.collections.path(name)).get(document_id)


def _listed(services: Services, name: str, ids: list[str]) -> list[dict[str, object]]:
    found = {id_: _found(services, name, id_) for id_ in dict.fromkeys(ids)}
    return [
        {
            "id": id_,
            "name": each.name,
            "size_bytes": each.size_bytes,
            "sha256": each.sha256,
            "media_type": SHOWN.get(each.format, OTHER),
        }
        for id_, each in found.items()
        if each is not None
    ]


def _disposition(found: Original, kind: str) -> str:
    """Return the header that names the file (RFC 6266), in ASCII."""
    name = found.name.rpartition("/")[2]
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"
