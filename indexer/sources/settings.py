"""The settings of a source: a table `[[sources]]` of the settings file."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, field_validator

from indexer.readers.base.options import MEBIBYTE, ReadLimits, ReadOptions, WebOptions
from indexer.sources.addresses import holds_password, shown_address
from retrieval.errors import SettingsError

DeletePolicy: TypeAlias = Literal["never", "after-seen-missing-twice", "now"]
INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MIN_INTERVAL_SECONDS = 1.0
MAX_SECRET_BYTES = 10_000


class SourceSettings(BaseModel):
    """A source of a collection, how it is read, and when documents are deleted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, description="A folder, or an address such as s3://bucket/prefix.")
    collection: str = Field(default="", description="Name of the collection; empty: the only one that is given.")
    delete: DeletePolicy | None = Field(
        default=None,
        description="When to delete documents that the source no longer has; default: after-seen-missing-twice, and "
        "never for a source that lists its newest items only.",
    )
    every: str = Field(default="10m", description="How often to synchronize, as 30s, 10m, 2h or 1d.")
    prefix: str = Field(default="", description="Text before the ids of its documents, to tell sources apart.")
    format: str = Field(default="", description="Format of all items; empty: by content.")
    include: tuple[str, ...] = Field(default=(), description="Read only items whose names match, as *.pdf.")
    exclude: tuple[str, ...] = Field(default=(), description="Skip items whose names match.")
    hidden: bool = Field(default=False, description="Read hidden files too.")
    ignore_files: bool = Field(default=True, description="Obey .gitignore, .ignore and .attendexignore in folders.")
    id_field: str = Field(default="", description="Field with the id, of records and rows; empty: _id or id.")
    title_field: str = Field(default="title", description="Field with the title, of records and rows.")
    text_fields: tuple[str, ...] = Field(default=("text",), description="Fields with the text, of records and rows.")
    query: str = Field(default="", description="The SELECT whose rows are the documents, of a database.")
    version_field: str = Field(default="", description="Column that changes with the row; empty: all columns.")
    endpoint: str = Field(default="", description="Address of an S3-compatible service; empty: AWS.")
    region: str = Field(default="", description="Region of an S3 bucket; empty: AWS_REGION, or us-east-1.")
    password_env: str = Field(default="", description="Environment variable with the password or token.")
    password_file: str = Field(default="", description="File with the password or token.")
    hosts: tuple[str, ...] = Field(default=(), description="Further hosts that pages and feeds may lead to.")
    private: bool = Field(default=False, description="Let web pages and feeds be at private addresses.")
    items: PositiveInt = Field(default=1_000_000, description="Most items of a source; more are an error.")
    item_bytes: PositiveInt = Field(default=256 * MEBIBYTE, description="Most bytes of an item that is fetched.")
    bytes: PositiveInt = Field(default=16_384 * MEBIBYTE, description="Most bytes that one run fetches from a source.")
    seconds: PositiveFloat = Field(default=60.0, description="Longest wait for an answer, in seconds.")
    retries: int = Field(default=3, ge=0, le=10, description="Further attempts after a failed request.")

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str) -> str:
        if holds_password(source):
            raise ValueError("holds a password, which reports would show; give password_env or password_file instead")
        return source

    @field_validator("every")
    @classmethod
    def _check_every(cls, every: str) -> str:
        parse_interval(every)
        return every

    @property
    def key(self) -> str:
        """The name under which the source is recorded; it holds no secret."""
        return f"{self.prefix}{' ' if self.prefix else ''}{self.shown}"

    @property
    def shown(self) -> str:
        """The address in messages and records, without a token in it."""
        return shown_address(self.source)

    @property
    def interval_s(self) -> float:
        """The seconds between two synchronizations."""
        return parse_interval(self.every)

    @property
    def password(self) -> str:
        """The password or token; "" if none is given.  Raises SettingsError."""
        if self.password_env:
            if self.password_env not in os.environ:
                raise SettingsError(f"{self.shown}: the environment variable {self.password_env} is not set")
            return os.environ[self.password_env]
        if not self.password_file:
            return ""
        try:
            with Path(self.password_file).open("r", encoding="utf-8") as file:
                return file.read(MAX_SECRET_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self.shown}: password_file {self.password_file}: {error}") from error

    def read_options(self) -> ReadOptions:
        """Return how its items are read."""
        return ReadOptions(
            format=self.format,
            id_field=self.id_field,
            title_field=self.title_field,
            text_fields=self.text_fields,
            id_prefix=self.prefix,
            include=self.include,
            exclude=self.exclude,
            hidden=self.hidden,
            ignore_files=self.ignore_files,
            tables_as_text=True,
            web=self.web_options(),
            limits=ReadLimits(),
        )

    def web_options(self) -> WebOptions:
        """Return how pages and feeds are fetched."""
        return WebOptions(
            hosts=self.hosts,
            max_pages=self.items,
            page_bytes=self.item_bytes,
            page_seconds=self.seconds,
            allow_private=self.private,
        )


def parse_interval(text: str) -> float:
    """Return the seconds of an interval such as "10m".  Raises ValueError."""
    found = INTERVAL.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not an interval; write 30s, 10m, 2h or 1d")
    seconds = float(found.group(1)) * SECONDS[found.group(2)]
    if not MIN_INTERVAL_SECONDS <= seconds <= 366 * SECONDS["d"]:
        raise ValueError(f"{text!r} is not between 1s and 366d")
    return seconds


def parse_sources(tables: Sequence[Mapping[str, Any]]) -> list[SourceSettings]:
    """Return sources from their tables.  Raises SettingsError."""
    try:
        return [SourceSettings(**table) for table in tables]
    except ValidationError as error:
        raise SettingsError(wrong_values(error, ())) from error


def wrong_values(error: ValidationError, names: Iterable[str]) -> str:
    """Return the names of wrong settings, and what is wrong with each.

    `names` are the settings of the service; the first part of a place in a table [[sources]] is that word.
    """
    return "; ".join(_wrong_value(found["loc"], found["type"], found["msg"], names) for found in error.errors())


def _wrong_value(place: tuple[int | str, ...], kind: str, message: str, names: Iterable[str]) -> str:
    shown = ".".join(map(str, place))
    is_table = place[0] == "sources" and len(place) > 1
    if is_table:
        shown = f"table {int(place[1]) + 1} of [[sources]]: {'.'.join(map(str, place[2:]))}"
    known = tuple(SourceSettings.model_fields if is_table or not names else names)
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        rest = f"did you mean {near[0]}" if near else ""
        if not rest and known == tuple(SourceSettings.model_fields):
            rest = f"The settings of a source are {', '.join(known)}"
        return f"{shown}: there is no such setting{'; ' if rest else ''}{rest}"
    if kind == "missing":
        return f"{shown}: is missing"
    if place == ("sources",):
        return "sources: must be tables; write [[sources]], in two brackets"
    return f"{shown}: {message.removeprefix('Value error, ')}"
