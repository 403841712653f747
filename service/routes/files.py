"""Uploads of files: a form is stored as it arrives, and becomes one job."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from indexer.building.uploads import UploadedFile
from indexer.readers.formats.records import metadata_from
from retrieval.errors import EmptyInput, InputError
from service.client.answers.jobs import JobAnswer
from service.config.api_keys import Role
from service.http.multipart_form import FormReader, ReceivedForm, file_name
from service.http.request_limits import declared_bytes
from service.queues.jobs import Upload
from service.queues.upload_gate import Receipt
from service.routes.base import JsonRoute, Services, authorized_to_change
from service.routes.changes import Parameters
from service.routes.jobs import QUEUED, answer_change, webhook_of
from service.routes.search import Name
from service.schemas.uploads import FileOptions, UploadOptions

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)

PIECE_BYTES = 1 << 20  # of a body, written to the disk at once
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "The files; the name of a file is the id of its document.",
                        },
                        "options": {
                            "allOf": [{"$ref": "#/components/schemas/UploadOptions"}],
                            "description": "Metadata, and whether to keep the originals, as JSON.",
                        },
                    },
                }
            }
        },
    }
}


@router.post("/files", response_model=JobAnswer, responses=QUEUED, openapi_extra=FORM, summary="Upload files")
async def upload(name: Name, parameters: Parameters, request: Request) -> Response:
    """Add the documents of files: PDF, Office, HTML, mails, archives and others.

    All files are one job. A file that cannot be read does not stop the others; the job lists it first, with the reason.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    webhook_of(services, parameters)  # a wrong address is refused before the files are read
    folder = services.job_folders.of(services.collections.path(name))
    job_id = secrets.token_hex(8)
    try:
        with services.uploads.receiving(declared_bytes(request.scope)) as receipt:
            files = await services.threads.run(folder.new_files, job_id)
            form = await _receive(request, services, files, receipt)
            work = await services.threads.run(_upload, services, form, files)
            return await answer_change(services, request, name, work, parameters, job_id)
    finally:
        await asyncio.shield(asyncio.to_thread(folder.discard_unaccepted, job_id))  # it may wait for the disk


async def _receive(request: Request, services: Services, files: Path, receipt: Receipt) -> ReceivedForm:
    """Store the files of the body.

    Raises InputError, TooLarge, Overloaded, StorageError.
    """
    reader = FormReader(request.headers.get("Content-Type", ""), files, services.settings.uploads.files)
    piece = bytearray()
    try:
        async for data in request.stream():
            receipt.add(len(data))
            piece += data
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(reader.write, bytes(piece))
                piece.clear()
        await asyncio.to_thread(reader.write, bytes(piece))
        return reader.finish()
    finally:
        reader.close()


def _upload(services: Services, form: ReceivedForm, files: Path) -> Upload:
    """Return the change that a form asks for."""
    if not form.files and not form.refused:
        raise EmptyInput("the form has no file; send one or several in the field 'files'")
    options = _options(form.options)
    single = {file_name(name): each for name, each in options.files.items()}
    if unknown := single.keys() - {file.name for file in form.files} - {name for name, _ in form.refused}:
        raise InputError(f"options.files names {min(unknown)!r}, and the form has no file of this name")
    uploaded = []
    for number, file in enumerate(form.files):
        own = single.get(file.name, FileOptions())
        if own.modified:
            os.utime(files / str(number), (own.modified.timestamp(),) * 2)
        metadata = {**options.metadata, **own.metadata}
        metadata_from(metadata)  # raises BadDocument
        uploaded.append(UploadedFile(file.name, file.size_bytes, file.sha256, metadata))
    keep = services.settings.uploads.keep if options.keep is None else options.keep
    return Upload(tuple(uploaded), keep, tuple(form.refused))


def _options(given: bytes) -> UploadOptions:
    """Return the options of a form.  Raises InputError, RequestValidationError."""
    try:
        return UploadOptions.model_validate_json(given or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False)
        if found[0]["type"] == "json_invalid":
            raise InputError(f"the field 'options' is no JSON object: {found[0]['msg']}") from error
        raise RequestValidationError([{**each, "loc": ("body", "options", *each["loc"])} for each in found]) from error
