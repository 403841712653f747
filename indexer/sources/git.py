"""The files of a git repository at a branch, a tag or a commit.

An address is `git+https://host/repository.git@branch#folder`.

Only the commit is fetched, not its history, into a temporary repository; a repository on this machine (`git+file://`)
is read where it is.  The git program is not needed.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from dulwich.client import HttpGitClient, HTTPUnauthorized, get_transport_and_path
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, Tag
from dulwich.repo import Repo

from indexer.readers.base.outcomes import printable
from indexer.sources.addresses import shown_address
from indexer.sources.folders import ALWAYS_IGNORED
from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem, check_size
from retrieval.errors import BadDocument, SettingsError
from retrieval.util.files import storage_errors

COMMIT = re.compile(rb"[0-9a-f]{40}")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MIN_BYTES_PER_SECOND = 1_000  # of an answer that takes longer than the setting `seconds`
MAX_REASON_CHARACTERS = 300
MAX_TAGS = 10  # that point to each other


class GitSource:
    """The files of one commit; the versions are the hashes of their blobs."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._location, self._ref, self._folder = parse_address(settings.source)
        self._opened = ExitStack()
        self._repository: Repo | None = None
        self._commit = b""
        self._time = 0  # of the commit

    def __enter__(self) -> GitSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def _is_local(self) -> bool:
        return self._location.startswith("file://")

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return the hash of the commit.  Raises BadDocument for an unknown branch or tag."""
        with _git_errors():
            if self._is_local:
                refs: Any = self._open_local().get_refs()
            else:
                client, path = self._client()
                refs = client.get_refs(path.encode()).refs
        self._commit = _resolve(refs, self._ref)
        return self._commit.decode()

    def list(self) -> Iterator[SourceItem]:
        """Yield the files.  Raises BadDocument if the folder is missing."""
        with _git_errors():
            repository = self._open_local() if self._is_local else self._fetched()
        commit, found = _commit_of(repository, self._commit), False
        self._time = commit.commit_time
        for entry in iter_tree_contents(repository.object_store, commit.tree):
            path = printable(entry.path.decode("utf-8", "surrogateescape"))
            name = path.removeprefix(self._folder)
            if (self._folder and name == path) or not self._is_wanted(name, entry.mode):
                continue
            found = True
            shown = f"{self._settings.shown}: {path}"
            yield SourceItem(f"{self._settings.prefix}{name}", entry.sha.decode(), shown, handle=entry.sha)
        if self._folder and not found:
            raise BadDocument(f"the commit has no files in {self._folder!r}")

    def _is_wanted(self, name: str, mode: int) -> bool:
        """Check for a regular file that is not hidden."""
        parts = PurePosixPath(name).parts
        is_hidden = any(part.startswith(".") for part in parts) and not self._settings.hidden
        return stat.S_ISREG(mode) and not is_hidden and ALWAYS_IGNORED.isdisjoint(parts)

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save a file as `path`.  Raises BadDocument."""
        assert self._repository is not None
        blob = self._repository[item.handle]
        assert isinstance(blob, Blob)
        check_size(blob.raw_length(), self._settings.item_bytes)
        data = blob.as_raw_string()
        if data.startswith(LFS_POINTER):
            raise BadDocument("is a pointer of Git LFS; its content is not in the repository")
        with storage_errors(path):
            path.write_bytes(data)
        os.utime(path, (self._time, self._time))
        return FoundFile(path, item.origin, is_temporary=True)

    def _open_local(self) -> Repo:
        if self._repository is None:
            folder = unquote(urlsplit(self._location).path)
            self._repository = self._opened.enter_context(Repo(folder))
        return self._repository

    def _fetched(self) -> Repo:
        """Return a temporary repository that has the commit."""
        folder = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="attendex-git-"))
        repository = self._opened.enter_context(Repo.init_bare(folder))
        client, path = self._client()
        pack, commit, abort = repository.object_store.add_pack()
        remaining = self._settings.bytes

        def write(data: bytes) -> int:
            nonlocal remaining
            remaining -= len(data)
            if remaining < 0:
                raise BadDocument(f"the commit has more than {self._settings.bytes:,} bytes; raise `bytes`")
            return pack.write(data)

        try:
            wanted = [ObjectID(self._commit)]
            client.fetch_pack(path, lambda *_, **__: wanted, repository.get_graph_walker(), write, depth=1)
        except BaseException:
            abort()
            raise
        commit()
        self._repository = repository
        return repository

    def _client(self) -> tuple[Any, str]:
        address = urlsplit(self._location)
        if address.scheme not in ("http", "https"):
            return get_transport_and_path(self._location)
        client = _TimedClient(
            f"{address.scheme}://{address.netloc.rpartition('@')[2]}",
            username=address.username,
            password=self._settings.password or None,
            timeout=self._settings.seconds,
        )
        return client, address.path


class _TimedClient(HttpGitClient):
    """A client that gives up on an answer that comes too slowly."""

    def _http_request(self, *args: Any, **options: Any) -> Any:
        """Return the answer, and a function that reads it."""
        answer: Any = super()._http_request(*args, **options)
        response = answer[0]
        started, received = time.monotonic(), 0

        def read(size: int) -> bytes:
            nonlocal received
            parts = []
            while size > 0 and (part := response.read1(size)):
                parts.append(part)
                size -= len(part)
                received += len(part)
                elapsed = time.monotonic() - started
                if elapsed > (self._timeout or 0) and received < elapsed * MIN_BYTES_PER_SECOND:
                    raise BadDocument(f"the server sent only {received:,} bytes in {elapsed:.0f} s")
            return b"".join(parts)

        return response, read


@contextmanager
def _git_errors() -> Iterator[None]:
    try:
        yield
    except NotGitRepository as error:
        raise BadDocument("there is no git repository at this address, or it needs a password") from error
    except HTTPUnauthorized as error:
        raise BadDocument("the server refuses the user or the password; give password_env or password_file") from error
    except GitProtocolError as error:
        raise BadDocument(f"the repository cannot be read: {str(error)[:MAX_REASON_CHARACTERS]}") from error


def parse_address(source: str) -> tuple[str, bytes, str]:
    """Return the location, the branch, tag or commit, and the folder of an address.

    Raises SettingsError.
    """
    rest, _, folder = source.removeprefix("git+").partition("#")
    start, slash, last = rest.rpartition("/")
    last, _, ref = last.partition("@")
    if not slash or not last or not urlsplit(rest).path.strip("/"):
        raise SettingsError(
            f"{shown_address(source)}: write git+https://host/repository.git@branch#folder, without what is not needed"
        )
    return f"{start}/{last}", ref.encode(), f"{folder.strip('/')}/" if folder.strip("/") else ""


def _resolve(refs: dict[bytes, bytes], ref: bytes) -> bytes:
    """Return the hash that a branch, a tag, a commit or nothing (HEAD) stands for."""
    names = [b"refs/heads/" + ref, b"refs/tags/" + ref, ref] if ref else [b"HEAD"]
    for name in names:
        if refs.get(name):
            return refs.get(name + b"^{}", refs[name])
    if COMMIT.fullmatch(ref):
        return ref
    raise BadDocument(f"there is no branch, tag or commit {ref.decode('utf-8', 'replace') or 'HEAD'!r}")


def _commit_of(repository: Repo, name: bytes) -> Commit:
    """Return a commit, or the one that a tag leads to."""
    for _ in range(MAX_TAGS):
        found = repository[ObjectID(name)]
        if isinstance(found, Commit):
            return found
        if not isinstance(found, Tag):
            break
        name = found.object[1]
    raise BadDocument(f"{name.decode()} is no commit")
