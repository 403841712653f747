"""Mails of a folder, from a local server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.sources.imap import ImapSource
from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, fetch_files
from retrieval.errors import BadDocument, SettingsError
from tests.indexer.sources.servers import MailFolder, items

MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Weir %d\r\n\r\nThe text of mail %d.\r\n"


@pytest.fixture
def folder() -> MailFolder:
    folder = MailFolder("me@example.org", "open sesame")
    for number in (1, 2, 3):
        folder.add(MAIL % (number, number))
    return folder


@pytest.fixture
def address(folder: MailFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MAIL_PASSWORD", "open sesame")
    with folder.served() as port:
        yield f"imap://me%40example.org@127.0.0.1:{port}/INBOX"


def source(address: str, **more: object) -> ImapSource:
    return ImapSource(SourceSettings(source=address, **{"password_env": "MAIL_PASSWORD", **more}))  # type: ignore[arg-type]


def fetched(found: ImapSource, folder: Path) -> list[FoundFile]:
    with found:
        found.version("")
        return list(fetch_files(found, found.list(), folder))


def test_mails(folder: MailFolder, address: str, tmp_path: Path) -> None:
    """No mail is marked as read: the folder is opened for reading only."""
    found = fetched(source(address, prefix="m/"), tmp_path)
    assert [each.origin.name for each in found] == [f"m/INBOX/7-{number}.eml" for number in (1, 2, 3)]
    assert found[0].path.read_bytes() == MAIL % (1, 1)
    assert not any(command.startswith("SELECT") for command in folder.commands)


def test_the_version_changes_with_the_mails(folder: MailFolder, address: str) -> None:
    with source(address) as found:
        first = found.version("")
        assert found.version(first) == first
        del folder.mails[2]
        second = found.version("")
        folder.add(MAIL % (4, 4))
        assert len({first, second, found.version("")}) == 3
        assert [item.name for item in found.list()] == [f"INBOX/7-{number}.eml" for number in (1, 3, 4)]


def test_a_lost_connection_is_opened_again(folder: MailFolder, address: str) -> None:
    folder.drops = 2
    assert len(items(source(address))) == 3


def test_a_mail_that_is_too_large_fails_alone(folder: MailFolder, address: str, tmp_path: Path) -> None:
    folder.mails[2] = b"x" * 1_000
    found = fetched(source(address, item_bytes=500), tmp_path)
    assert [each.failed for each in found] == ["", "is larger than 500 bytes", ""]


def test_a_password_of_a_file(address: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    assert len(items(source(address, password_env="", password_file=str(tmp_path / "secret")))) == 3


@pytest.mark.parametrize(
    ("folder_name", "password", "reason"),
    [("INBOX", "wrong", "wrong password"), ("Nothing", "open sesame", "no such mailbox|no folder")],
)
def test_refusals(address: str, monkeypatch: pytest.MonkeyPatch, folder_name: str, password: str, reason: str) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", password)
    with pytest.raises(BadDocument, match=reason) as error:
        items(source(address.replace("INBOX", folder_name)))
    assert password not in str(error.value) or password == "wrong"


def test_wrong_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_PASSWORD", raising=False)
    with pytest.raises(SettingsError, match="no user or host"):
        source("imaps://host/INBOX")
    with pytest.raises(SettingsError, match="MAIL_PASSWORD is not set"):
        source("imap://me@127.0.0.1:1/INBOX")
