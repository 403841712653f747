"""Uploads of files, and originals, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.schemas.base import MAX_DOCUMENTS, MAX_IDS, Name, RequestBody, UrlParameters, examples, items

MAX_LOOKED_UP = 20  # ids in one address


class FileOptions(RequestBody):
    """Facts about one file that it does not contain."""

    metadata: dict[str, Any] = Field(
        default_factory=dict, max_length=MAX_IDS, description="Metadata of each document of the file."
    )
    modified: datetime | None = Field(
        default=None,
        strict=False,
        description="When the file was changed last; the default is the time of the upload.",
    )


class UploadOptions(RequestBody):
    """The field `options` of an upload."""

    metadata: dict[str, Any] = Field(
        default_factory=dict, max_length=MAX_IDS, description="Metadata of each document of all files."
    )
    files: Annotated[dict[Name, FileOptions], items(MAX_DOCUMENTS)] = Field(
        default_factory=dict, description="Options of single files, by the file's name."
    )
    keep: bool | None = Field(
        default=None, description="Keep the originals; the default is the setting `uploads.keep`."
    )

    model_config = examples(
        {}, {"metadata": {"project": "Apollo"}, "files": {"report.pdf": {"metadata": {"year": 1969}}}, "keep": True}
    )


class OriginalsParameters(UrlParameters):
    """The documents whose originals are looked up, as URL parameters."""

    id: Annotated[list[Annotated[str, Field(max_length=1_000)]], items(MAX_LOOKED_UP)] = Field(
        min_length=1, description="Id of a document; repeatable."
    )

    model_config = examples({"id": ["report.pdf"]})
