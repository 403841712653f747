"""Files of a git repository, on this machine and over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from indexer.building.source_sync import sync_collection
from indexer.readers.base.outcomes import FileOutcome
from indexer.sources.git import GitSource, parse_address
from indexer.sources.settings import SourceSettings
from indexer.sources.source import fetch_files
from retrieval.errors import BadDocument, SettingsError
from tests.indexer.sources.servers import items

FILES = {"readme.md": "# Weirs", "docs/a.txt": "One.", "docs/sub/b.txt": "Two.", ".hidden/c.txt": "Three."}


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def commit(folder: Path, files: dict[str, str], removed: tuple[str, ...] = ()) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in removed:
        (folder / name).unlink()
    porcelain.add(str(folder), [str(folder / name) for name in (*files, *removed)])
    porcelain.commit(str(folder), message=b"change", author=b"A <a@example.org>", committer=b"A <a@example.org>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two commits, a branch and a tag of the first one, a link and an LFS pointer."""
    folder = tmp_path_factory.mktemp("repository")
    porcelain.init(str(folder)).close()
    commit(folder, FILES)
    porcelain.tag_create(str(folder), b"v1", message=b"one", author=b"A <a@example.org>", annotated=True)
    porcelain.branch_create(str(folder), b"old")
    (folder / "link.txt").symlink_to("readme.md")
    (folder / "large.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    commit(
        folder,
        {"docs/a.txt": "Changed.", "new.txt": "New.", "link.txt": "", "large.bin": ""}
        | {"large.bin": (folder / "large.bin").read_text()},
        ("docs/sub/b.txt",),
    )
    return folder


@pytest.fixture(scope="module")
def remote(folder: Path) -> Iterator[str]:
    with Repo(str(folder)) as repository:
        application = make_wsgi_chain(DictBackend({"/weirs.git": repository}))
        with make_server("127.0.0.1", 0, application, handler_class=_QuietHandler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"git+http://127.0.0.1:{server.server_port}/weirs.git"
            server.shutdown()


def source(address: str, **more: object) -> GitSource:
    return GitSource(SourceSettings(source=address, **more))  # type: ignore[arg-type]


def texts(found: GitSource, folder: Path) -> dict[str, str]:
    folder.mkdir()
    with found:
        found.version("")
        files = list(fetch_files(found, found.list(), folder))
        return {each.origin.name: each.failed or each.path.read_text() for each in files}


@pytest.mark.parametrize("is_remote", [False, True])
def test_files_of_a_commit(folder: Path, remote: str, tmp_path: Path, is_remote: bool) -> None:
    address = remote if is_remote else f"git+file://{folder}"
    assert texts(source(address, prefix="g/"), tmp_path / "1") == {
        "g/docs/a.txt": "Changed.",
        "g/new.txt": "New.",
        "g/readme.md": "# Weirs",
        "g/large.bin": "is a pointer of Git LFS; its content is not in the repository",
    } | ({} if (folder / "link.txt").is_symlink() else {"g/link.txt": ""})
    assert texts(source(f"{address}@v1#docs"), tmp_path / "2") == {"a.txt": "One.", "sub/b.txt": "Two."}
    assert texts(source(f"{address}@old", hidden=True), tmp_path / "3") == FILES


def test_versions_are_those_of_blobs(folder: Path) -> None:
    old, new = items(source(f"git+file://{folder}@old")), items(source(f"git+file://{folder}"))
    assert old["readme.md"] == new["readme.md"]
    assert old["docs/a.txt"] != new["docs/a.txt"]
    with source(f"git+file://{folder}@v1") as tagged, source(f"git+file://{folder}@old") as branch:
        items(tagged)
        items(branch)


@pytest.mark.parametrize("is_remote", [False, True])
def test_the_commit_is_the_version_of_all(folder: Path, remote: str, is_remote: bool) -> None:
    address = remote if is_remote else f"git+file://{folder}"
    with source(address) as head, source(f"{address}@old") as old:
        assert len(head.version("")) == 40
        assert head.version("") != old.version("")


@pytest.mark.parametrize(
    ("ending", "reason"),
    [("@nothing", "no branch, tag or commit 'nothing'"), ("#nothing", "no files in 'nothing/'")],
)
def test_what_is_not_there(remote: str, ending: str, reason: str) -> None:
    with pytest.raises(BadDocument, match=reason):
        items(source(remote + ending))


def test_a_repository_that_is_too_large(remote: str) -> None:
    with pytest.raises(BadDocument, match="more than 100 bytes"):
        items(source(remote, bytes=100))


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("git+https://h/a/b.git", ("https://h/a/b.git", b"", "")),
        ("git+https://u@h/b.git@v1.0#docs/x/", ("https://u@h/b.git", b"v1.0", "docs/x/")),
    ],
)
def test_addresses(address: str, parts: tuple[str, bytes, str]) -> None:
    assert parse_address(address) == parts


def test_a_token_is_neither_shown_nor_recorded(remote: str, tmp_path: Path) -> None:
    secret = "ghp_0123456789"
    address = remote.replace("://", f"://{secret}@")
    told: list[FileOutcome] = []
    report = sync_collection(tmp_path / "c", [SourceSettings(source=address)], on_file=told.append)
    assert report.documents > 0
    assert report.sources[0].source == remote.replace("://", "://***@")
    assert secret not in repr((report, told))
    kept = [path for path in (tmp_path / "c").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("git+https://token@host/a.git@main#docs", "git+https://***@host/a.git@main#docs"),
        ("git+ssh://git@host/a.git", "git+ssh://git@host/a.git"),
        ("imaps://ann@host/INBOX", "imaps://ann@host/INBOX"),
        (
            "feed+https://host/f?page=2&access_token=abc&monkey=1",
            "feed+https://host/f?page=2&access_token=***&monkey=1",
        ),
        ("htps://token@host/", "htps://***@host/"),
        ("/home/ann/a?key=b", "/home/ann/a?key=b"),
    ],
)
def test_addresses_are_shown_without_tokens(address: str, shown: str) -> None:
    assert SourceSettings(source=address).shown == shown


def test_an_address_without_a_repository() -> None:
    with pytest.raises(SettingsError, match="write git"):
        parse_address("git+https://host")


def test_a_server_that_drips_is_given_up() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n")
            while True:
                connection.sendall(b"f")
                threading.Event().wait(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        address = f"git+http://127.0.0.1:{server.getsockname()[1]}/weirs.git"
        with source(address, seconds=0.3) as opened, pytest.raises(BadDocument, match="the server sent only"):
            opened.version("")


@pytest.mark.parametrize("address", ["git+file:///nosuch", "git+http://127.0.0.1:1/weirs.git"])
def test_a_repository_that_cannot_be_read(address: str) -> None:
    with source(address) as opened, pytest.raises(BadDocument, match=r"no git repository|cannot be read"):
        opened.version("")
