"""Objects of an S3-compatible bucket, from a local server that checks the signatures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.sources.s3 import S3Source
from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, fetch_files
from retrieval.errors import BadDocument, SettingsError
from tests.indexer.sources.servers import SECRET, S3Bucket, http_server, items

OBJECTS = {"notes/a.txt": b"One.", "notes/deep/b b.md": b"Two.", "notes/ä+&.txt": b"Three.", "other/c.txt": b"Four."}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[S3Bucket, str]]:
    bucket = S3Bucket("bucket")
    with http_server(bucket.answer) as address:
        yield bucket, address


@pytest.fixture
def bucket(served: tuple[S3Bucket, str], monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    served[0].objects, served[0].failures, served[0].gets = dict(OBJECTS), 0, []
    return served[0]


@pytest.fixture
def open_bucket(served: tuple[S3Bucket, str], bucket: S3Bucket) -> Any:
    del bucket
    return lambda address, **more: S3Source(SourceSettings(source=address, endpoint=served[1], **more))


def fetched(source: S3Source, folder: Path) -> list[FoundFile]:
    with source:
        return list(fetch_files(source, source.list(), folder))


def test_objects_below_a_prefix(open_bucket: Any, tmp_path: Path) -> None:
    """The list has several pages; a name may have any letter."""
    found = fetched(open_bucket("s3://bucket/notes", prefix="x/"), tmp_path)
    assert {each.origin.name: each.path.read_bytes() for each in found} == {
        "x/a.txt": b"One.",
        "x/deep/b b.md": b"Two.",
        "x/ä+&.txt": b"Three.",
    }
    assert found[0].origin.path == "s3://bucket/notes/a.txt"
    assert len(items(open_bucket("s3://bucket"))) == 4


def test_the_version_follows_the_content(open_bucket: Any, bucket: S3Bucket) -> None:
    before = items(open_bucket("s3://bucket/notes"))
    bucket.objects["notes/a.txt"] = b"Another."
    after = items(open_bucket("s3://bucket/notes"))
    assert [name for name in before if before[name] != after[name]] == ["a.txt"]


def test_a_request_is_sent_again(open_bucket: Any, bucket: S3Bucket) -> None:
    bucket.failures = 2
    assert len(items(open_bucket("s3://bucket/notes"))) == 3
    bucket.failures = 9
    with pytest.raises(BadDocument, match="the bucket cannot be read"):
        items(open_bucket("s3://bucket/notes", retries=1))


def test_an_object_that_is_too_large_fails_alone(open_bucket: Any, bucket: S3Bucket, tmp_path: Path) -> None:
    bucket.objects["notes/a.txt"] = b"x" * 100
    found = fetched(open_bucket("s3://bucket/notes", item_bytes=50), tmp_path)
    assert [each.failed for each in found] == ["is larger than 50 bytes", "", ""]


@pytest.mark.parametrize("address", ["s3://nothing/notes", "s3://bucket/notes"])
def test_errors_show_no_secret(open_bucket: Any, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(BadDocument, match="the bucket cannot be read") as error:
        items(open_bucket(address))
    assert "wrong-secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_address_without_a_bucket() -> None:
    with pytest.raises(SettingsError, match="has no bucket"):
        S3Source(SourceSettings(source="s3:///notes"))
