"""The mails of a folder of an IMAP server: `imaps://user@host/INBOX`.

A mail never changes, and its number is never given again, as long as the folder keeps its UIDVALIDITY (RFC 3501).
"""

from __future__ import annotations

import contextlib
import email.utils
import imaplib
import os
import re
import time
from collections.abc import Callable, Iterator
from email.parser import BytesHeaderParser
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem, check_size
from retrieval.errors import BadDocument, SettingsError
from retrieval.util.files import storage_errors

Lines: TypeAlias = list[Any]  # of an answer

PORT, TLS_PORT = 143, 993
LISTED_TOGETHER = 1_000
OVERHEAD_BYTES = 1 << 20  # of an answer, beside the mail
LINE = re.compile(rb"UID (\d+).*?RFC822\.SIZE (\d+)|RFC822\.SIZE (\d+).*?UID (\d+)", re.DOTALL)
STATUS = re.compile(rb"(MESSAGES|UIDNEXT|UIDVALIDITY) (\d+)")
FAILURES = (imaplib.IMAP4.error, OSError)


class ImapSource:
    """The mails of a folder, which is opened for reading only."""

    def __init__(self, settings: SourceSettings) -> None:
        address = urlsplit(settings.source)
        if not address.hostname or not address.username:
            raise SettingsError(f"{settings.shown}: has no user or host; write imaps://user@host/INBOX")
        self._settings = settings
        self._address = address
        self._folder = unquote(address.path.strip("/")) or "INBOX"
        self._password = settings.password
        self._validity = ""
        self._server: imaplib.IMAP4 | None = None

    def __enter__(self) -> ImapSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return what changes when mails come or go.  Raises BadDocument."""
        [line] = self._ask(lambda server: server.status(_quoted(self._folder), "(MESSAGES UIDNEXT UIDVALIDITY)"))
        found = dict(STATUS.findall(line))
        self._validity = found.get(b"UIDVALIDITY", b"").decode()
        return " ".join(found[name].decode() for name in sorted(found))

    def list(self) -> Iterator[SourceItem]:
        """Yield the mails in the order of their numbers.  Raises BadDocument."""
        [numbers] = self._ask(lambda server: server.uid("SEARCH", "ALL"))
        uids = sorted(map(int, (numbers or b"").split()))
        for start in range(0, len(uids), LISTED_TOGETHER):
            part = uids[start : start + LISTED_TOGETHER]
            span = f"{part[0]}:{part[-1]}"
            lines = self._ask(lambda server, span=span: server.uid("FETCH", span, "(UID RFC822.SIZE)"))
            for uid, size in sorted(_sizes(lines)):
                name = f"{self._settings.prefix}{self._folder}/{self._validity}-{uid}.eml"
                shown = f"{self._settings.shown}: mail {uid}"
                yield SourceItem(name, f"{self._validity} {uid}", shown, handle=(uid, size))

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save a mail as `path`; the server does not mark it as read.  Raises BadDocument."""
        uid, size = item.handle
        check_size(size, self._settings.item_bytes)
        lines = self._ask(lambda server: server.uid("FETCH", str(uid), "(BODY.PEEK[])"))
        data = next((each[1] for each in lines if isinstance(each, tuple)), None)
        if data is None:
            raise BadDocument("the server does not give the mail; it may have been deleted meanwhile")
        check_size(len(data), self._settings.item_bytes)
        with storage_errors(path):
            path.write_bytes(data)
        with contextlib.suppress(ValueError, TypeError, OverflowError, OSError):  # a mail may have any date, or none
            sent = email.utils.parsedate_to_datetime(BytesHeaderParser().parsebytes(data)["Date"]).timestamp()
            os.utime(path, (sent, sent))
        return FoundFile(path, item.origin, format="mail", is_temporary=True)

    def _ask(self, question: Callable[..., tuple[str, Lines]]) -> Lines:
        """Return the answer of the server, over a new connection after a failure."""
        for attempt in range(self._settings.retries + 1):
            try:
                kind, lines = question(self._connected())
            except imaplib.IMAP4.readonly as error:
                raise BadDocument(f"the server answered: {error}") from error
            except (imaplib.IMAP4.abort, OSError) as error:
                self._close()
                if attempt == self._settings.retries:
                    raise BadDocument(f"the server cannot be reached: {error}") from error
                time.sleep(min(2.0**attempt * 0.1, self._settings.seconds))
                continue
            except imaplib.IMAP4.error as error:
                raise BadDocument(f"the server answered: {error}") from error
            if kind != "OK":
                raise BadDocument(f"the server answered {kind}: {lines[:1]!r:.200}")
            return lines
        raise AssertionError("unreachable")

    def _connected(self) -> imaplib.IMAP4:
        if self._server is None:
            server = self._connect()
            try:
                server.login(unquote(self._address.username or ""), self._password)
                kind, answer = server.select(_quoted(self._folder), readonly=True)
                if kind != "OK":
                    raise BadDocument(f"there is no folder {self._folder!r}: {answer[:1]!r:.200}")
            except BaseException:
                server.shutdown()
                raise
            self._server = server
        return self._server

    def _connect(self) -> imaplib.IMAP4:
        """Connect with TLS; without it only to this machine."""
        host, timeout = self._address.hostname or "", self._settings.seconds
        limit = self._settings.item_bytes + OVERHEAD_BYTES
        if self._address.scheme == "imaps":
            return _BoundedTls(host, self._address.port or TLS_PORT, timeout=timeout, limit=limit)
        server = _Bounded(host, self._address.port or PORT, timeout, limit=limit)
        if "STARTTLS" in server.capabilities:
            server.starttls()
        elif not _is_this_machine(host):
            server.shutdown()
            raise BadDocument("refused: the server offers no TLS, and the password could be read; use imaps://")
        return server

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            try:
                server.logout()
            except FAILURES:
                server.shutdown()


class _Bounded(imaplib.IMAP4):
    """A connection that reads no more than `limit` bytes of one literal."""

    def __init__(self, *args: Any, limit: int, **options: Any) -> None:
        self._limit = limit
        super().__init__(*args, **options)

    def read(self, size: int) -> bytes:
        """Read a literal.  Raises BadDocument if it is too long."""
        if size > self._limit:
            raise BadDocument(f"the server announces {size:,} bytes; {self._limit:,} are allowed")
        return super().read(size)


class _BoundedTls(_Bounded, imaplib.IMAP4_SSL):
    """The same with TLS."""


def _sizes(lines: Lines) -> Iterator[tuple[int, int]]:
    """Yield the numbers and sizes of mails from the lines of an answer."""
    for line in lines:
        if isinstance(line, bytes) and (found := LINE.search(line)):
            first, second, size, uid = found.groups()
            yield (int(first), int(second)) if first else (int(uid), int(size))


def _quoted(folder: str) -> str:
    """Return a folder's name as the protocol writes it (RFC 3501, 5.1.3)."""
    encoded = folder.encode("utf-7").decode().replace("&", "&-").replace("+", "&") if not folder.isascii() else folder
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
