"""A page of the web, or the pages of a sitemap."""

from __future__ import annotations

import contextlib
import email.utils
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from indexer.readers.base.options import WebOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.format_table import format_for_media_type
from indexer.sources.public_network import FetchTimeout
from indexer.sources.settings import SourceSettings
from indexer.sources.sitemap import MAX_LOCATION_CHARACTERS, Sitemap, read_sitemap
from indexer.sources.source import FoundFile, SourceItem, fetch_files, reason_of
from indexer.sources.web import MAX_SHOWN_CHARACTERS, WebResponse, WebSession, unpacked
from retrieval.errors import BadDocument
from retrieval.util.files import storage_errors

MAX_TIMEOUTS = 5  # in a row; the pages after them are not fetched


def open_web(settings: SourceSettings) -> WebSource:
    """Return the page or sitemap of `settings`."""
    return WebSource(settings.web_options(), settings.source)


class WebSource:
    """The page at `start`, or the pages of the sitemap there."""

    def __init__(self, options: WebOptions, start: str) -> None:
        self._options = options
        self._start = start
        self._session = WebSession(options, start)
        self._timeouts = 0

    def __enter__(self) -> WebSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return "": each page has a version of its own."""
        return ""

    def list(self) -> Iterator[SourceItem]:
        """Yield the pages.

        A page has the version that its sitemap gives, or none.  Sitemaps are fetched, and the start page: it may be
        one.  A sitemap that fails has the name of the start.
        """
        pending, seen = deque([self._start]), {self._start}
        too_many = False
        while pending:
            url = pending.popleft()
            try:
                page = self._fetch(url)
                sitemap = self._sitemap(page)
            except Exception as error:  # a server may send anything; it must not stop the reading of other pages
                yield _item(url, name=self._start, failed=reason_of(error))
                continue
            if sitemap is None:
                yield _item(url, handle=page)
                continue
            new = [location for location in dict.fromkeys(sitemap.locations) if location not in seen]
            remaining = self._options.max_pages - len(seen)
            too_many = too_many or len(new) > remaining
            seen.update(new[:remaining])
            if sitemap.is_index:
                pending.extend(new[:remaining])
            else:
                yield from (_item(location, version=sitemap.versions.get(location, "")) for location in new[:remaining])
        if too_many:
            reason = f"has more than {self._options.max_pages:,} pages and sitemaps; index its parts"
            yield _item(self._start, failed=reason)

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save a page as `path`.  Raises BadDocument."""
        page = item.handle
        if not isinstance(page, WebResponse):
            page = self._fetch(page, item.known)
            if page.status == 304:
                return FoundFile(Path(), item.origin, version=item.known, is_unchanged=True)
            if self._sitemap(page) is not None:
                raise BadDocument("is a sitemap that is listed as a page; index it by itself")
        return _save_page(page, item, path)

    def pages(self, start: str, folder: Path) -> Iterator[FoundFile]:
        """Yield all pages as files in `folder`."""
        self._start = start
        return fetch_files(self, self.list(), folder)

    def _fetch(self, url: str, known: str = "") -> WebResponse:
        """Return a page, unless the pages before it all took too long."""
        if self._timeouts == MAX_TIMEOUTS:
            raise BadDocument(f"not fetched: the {MAX_TIMEOUTS} pages before it took too long")
        try:
            page = self._session.fetch(url, known)
        except FetchTimeout:
            self._timeouts += 1
            raise
        self._timeouts = 0
        return page

    def _sitemap(self, page: WebResponse) -> Sitemap | None:
        """Return a sitemap, which may be compressed; None for another page."""
        try:
            body = unpacked(page.body, self._options.page_bytes)
        except BadDocument:
            return None  # the reader of the page says what is wrong
        return read_sitemap(body, self._options.max_pages)


def _item(
    url: str, *, name: str = "", version: str = "", failed: str = "", handle: WebResponse | None = None
) -> SourceItem:
    shown = url if len(url) <= MAX_LOCATION_CHARACTERS else f"{url[:MAX_SHOWN_CHARACTERS]}…"
    return SourceItem(name or shown, version, shown, failed, handle or url)


def _save_page(page: WebResponse, item: SourceItem, path: Path) -> FoundFile:
    with storage_errors(path):
        path.write_bytes(page.body)
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError, OSError):
        modified = email.utils.parsedate_to_datetime(page.headers["last-modified"]).timestamp()
        os.utime(path, (modified, modified))
    named = format_for_media_type(page.headers.get("content-type", "").split(";")[0].strip().lower())
    return FoundFile(
        path,
        DocumentOrigin(item.shown, page.url),
        format=named.name if named is not None else "",
        version=item.version or page.version,
        is_temporary=True,
    )
