"""The table of sources.  One row holds every fact about a kind of source.

A new source is one module in this folder and one row in this table.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.sources.addresses import shown_address
from indexer.sources.folders import FolderSource
from indexer.sources.settings import SourceSettings
from indexer.sources.source import Source
from retrieval.errors import MissingExtra, SettingsError

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
READING = ("format", "include", "exclude", "id_field", "title_field", "text_fields")
COMMON = frozenset(("source", "collection", "delete", "every", "prefix", "items", *READING))
SECRETS = frozenset(("password_env", "password_file"))
REMOTE = frozenset(("item_bytes", "bytes", "seconds", "retries"))
SQL = frozenset(("query", "version_field", "item_bytes", "bytes", "seconds"))


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source: its addresses, the class that reads it, and its own settings.

    `factory` is "module:function" of this folder.  `is_partial`: it lists its newest items only, so that what it lacks
    is not gone.
    """

    name: str
    schemes: tuple[str, ...]
    factory: str
    own: frozenset[str] = frozenset()
    extra: str = ""  # the optional dependencies that it needs
    is_partial: bool = False

    def open(self, settings: SourceSettings) -> Source:
        """Return the source.  Raises SettingsError, and MissingExtra without its packages."""
        self.check(settings)
        module, _, name = self.factory.partition(":")
        try:
            make: Callable[[SourceSettings], Any] = getattr(importlib.import_module(f"indexer.sources.{module}"), name)
        except ImportError as error:
            if not self.extra:
                raise
            raise MissingExtra(self.extra, f"reading {self.schemes[0]}:// sources") from error
        source: Source = make(settings)
        return source

    def check(self, settings: SourceSettings) -> None:
        """Raise SettingsError for a setting that this kind of source does not have."""
        for name in sorted(settings.model_fields_set - COMMON - self.own):
            others = [kind.name for kind in KINDS if name in kind.own]
            raise SettingsError(f"{settings.shown}: {name} is no setting of {self.name}, but of {', '.join(others)}")


def _open_folder(settings: SourceSettings) -> FolderSource:
    return FolderSource(Path(settings.source), settings.read_options())


FOLDER = SourceKind("folders", (), "source_table:_open_folder", frozenset(("hidden", "ignore_files")))
KINDS = (
    FOLDER,
    SourceKind(
        "pages and sitemaps", ("https", "http"), "website:open_web", REMOTE - {"retries"} | {"hosts", "private"}
    ),
    SourceKind("S3 buckets", ("s3",), "s3:S3Source", REMOTE | {"endpoint", "region"}, extra="s3"),
    SourceKind(
        "git repositories",
        ("git+https", "git+http", "git+ssh", "git+file"),
        "git:GitSource",
        REMOTE - {"retries"} | SECRETS | {"hidden", "bytes"},
        extra="git",
    ),
    SourceKind(
        "feeds",
        ("feed+https", "feed+http"),
        "feed:FeedSource",
        REMOTE | {"hosts", "private"},
        extra="feeds",
        is_partial=True,
    ),
    SourceKind("mail folders", ("imaps", "imap"), "imap:ImapSource", REMOTE | SECRETS),
    SourceKind("SQLite databases", ("sqlite",), "sql:SqlSource", SQL),
    SourceKind(
        "PostgreSQL databases",
        ("postgresql", "postgres"),
        "sql:open_postgresql",
        SQL | SECRETS | {"retries"},
        extra="postgresql",
    ),
)


def kind_of(source: str) -> SourceKind:
    """Return the kind of a folder or an address.

    Raises SettingsError for an unknown scheme.
    """
    found = SCHEME.match(source)
    if found is None:
        return FOLDER
    scheme = found.group(1).lower()
    for kind in KINDS:
        if scheme in kind.schemes:
            return kind
    schemes = [each for kind in KINDS for each in kind.schemes]
    near = difflib.get_close_matches(scheme, schemes, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}://?" if near else f"there are {', '.join(f'{each}://' for each in schemes)}"
    raise SettingsError(f"{shown_address(source)}: no source has the scheme {scheme}://; {hint}")


def open_source(settings: SourceSettings) -> Source:
    """Return the source of `settings`.  Raises SettingsError and MissingExtra."""
    return kind_of(settings.source).open(settings)
