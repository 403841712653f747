"""The entries of an RSS or Atom feed: `feed+https://host/feed.xml`.

A feed lists its newest entries only, so that an entry that it no longer lists is not gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import os
import time
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import feedparser

from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem, check_size
from indexer.sources.web import WebResponse, WebSession
from retrieval.errors import BadDocument
from retrieval.util.files import storage_errors


class FeedSource:
    """The entries of a feed; it is fetched only if its ETag or date has changed."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._address = settings.source.removeprefix("feed+")
        self._session = WebSession(settings.web_options(), self._address)
        self._response: WebResponse | None = None

    def __enter__(self) -> FeedSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()

    def version(self, known: str) -> str:
        """Fetch the feed, unless it has the `known` version.  Raises BadDocument."""
        response = self._fetch(known)
        if response.status == 304:
            return known
        self._response = response
        return response.version

    def _fetch(self, known: str) -> WebResponse:
        """Fetch the feed, again after a failure of the network or of the server."""
        for attempt in range(self._settings.retries):
            with contextlib.suppress(BadDocument):
                return self._session.fetch(self._address, known)
            time.sleep(min(2.0**attempt * 0.1, self._settings.seconds))
        return self._session.fetch(self._address, known)

    def list(self) -> Iterator[SourceItem]:
        """Yield the entries.  Raises BadDocument for a page that is no feed."""
        response = self._response or self._fetch("")
        feed = feedparser.parse(io.BytesIO(response.body), response_headers={"content-location": response.url})
        if not feed.version and not feed.entries:
            raise BadDocument("is no RSS or Atom feed")
        for number, entry in enumerate(feed.entries, start=1):
            name = str(entry.get("id") or entry.get("link") or "")
            if name:
                version = hashlib.blake2b(_page(entry).encode("utf-8", "replace"), digest_size=16).hexdigest()
                yield SourceItem(f"{self._settings.prefix}{name}", version, handle=entry)
            else:
                yield SourceItem(f"entry {number}", failed="has neither an id nor a link")

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save an entry as a page.  Raises BadDocument."""
        data = _page(item.handle).encode("utf-8", "replace")
        check_size(len(data), self._settings.item_bytes)
        with storage_errors(path):
            path.write_bytes(data)
        names = [name for name in ("updated_parsed", "published_parsed") if name in item.handle]
        if names and (changed := item.handle[names[0]]):
            with contextlib.suppress(ValueError, OverflowError, OSError):
                seconds = timegm(changed)
                os.utime(path, (seconds, seconds))
        return FoundFile(path, item.origin, format="html", is_temporary=True)


def _page(entry: Any) -> str:
    """Return an entry as an HTML page with its title, address and date."""
    parts = [str(each.get("value") or "") for each in entry.get("content") or ()] or [str(entry.get("summary") or "")]
    title, link, date = (html.escape(str(entry.get(name) or "")) for name in ("title", "link", "published"))
    author = html.escape(str(entry.get("author") or ""))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="canonical" href="{link}"><meta name="date" content="{date}">'
        f'<meta name="author" content="{author}">'
        f"</head><body>{''.join(parts)}</body></html>"
    )
