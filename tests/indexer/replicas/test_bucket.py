"""Collections published to an object store, over the S3 API of a local server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from indexer.replicas.bucket import FILES, Bucket
from indexer.replicas.follower import Follower
from indexer.replicas.generation_files import list_generation
from indexer.replicas.publish import publish
from indexer.replicas.replica import Replica
from indexer.writing.sharded_writer import ShardedWriter
from retrieval.errors import InputError, SettingsError, SourceUnavailable
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST, read_manifest
from tests.indexer.conftest import Bench
from tests.indexer.writing.test_sharded_writer import state


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class CountedBucket(Bucket):
    """A bucket that counts the bytes that it gives and takes."""

    bytes = 0

    def read(self, name: str, path: Path) -> Any:
        data = super().read(name, path)
        self.bytes += len(data)
        return data

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[Any]:
        for chunk in super().chunks(name, path, record):
            self.bytes += len(chunk)
            yield chunk


@pytest.fixture
def bucket(endpoint: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> CountedBucket:
    """Return an empty prefix of a bucket."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="bucket")
    return CountedBucket(f"s3://bucket/{bench.folder.name}", endpoint=endpoint)


def copy_of(bench: Bench) -> Path:
    (bench.folder / "copies").mkdir(exist_ok=True)
    return bench.folder / "copies" / bench.path.name


def grow_shards(bench: Bench, *names: str) -> None:
    documents = [bench.document(name) for name in names]
    with ShardedWriter(bench.path, create=bench.settings, shards=2) as writer:
        writer.add(documents, [bench.cut(each) for each in documents], bench.vectors(documents))
        writer.commit()


@pytest.mark.parametrize("sharded", [False, True])
def test_what_is_published_is_copied(bench: Bench, bucket: CountedBucket, sharded: bool) -> None:
    add = grow_shards if sharded else lambda bench, *names: bench.add(*map(bench.document, names))
    add(bench, *(f"d{n}" for n in range(9)))
    report = publish(bench.path, bucket)
    files = list_generation(*read_of(bench.path)).files.values()
    assert report.sent_files == len({each.sha256 for each in files})
    with Follower(copy_of(bench).parent, bucket) as follower:
        follower.poll()
        assert state(copy_of(bench)) == state(bench.path)
        add(bench, "x")
        again = publish(bench.path, bucket)
        assert again.sent_bytes < report.sent_bytes
        manifests = sum(len(data) for data in list_generation(*read_of(bench.path)).manifests.values())
        bucket.bytes = 0
        follower.poll()
        assert state(copy_of(bench)) == state(bench.path)
        assert bucket.bytes <= 1.1 * (again.sent_bytes + manifests)
        assert publish(bench.path, bucket).sent_files == 0


def read_of(path: Path) -> Any:
    return (path / MANIFEST).read_bytes(), lambda name: (path / name).read_bytes()


def test_a_prefix_may_be_that_of_one_collection(bench: Bench, bucket: CountedBucket, endpoint: str) -> None:
    bench.add(bench.document("a"))
    publish(bench.path, bucket)
    one = Bucket(f"{bucket.address}/{bench.path.name}", endpoint=endpoint)
    assert list(one.versions()) == list(bucket.versions()) == [bench.path.name]
    assert Replica(copy_of(bench), one).update()
    assert state(copy_of(bench)) == {"a": "text of a"}


def test_old_objects_are_removed(bench: Bench, bucket: CountedBucket) -> None:
    name = bench.path.name
    bucket.write(name, Path(FILES, "0" * 64), b"of an interrupted publication")
    for number in range(5):
        bench.add(bench.document("a", f"version {number}"))
        publish(bench.path, bucket, unused_s=0.0 if number == 4 else 3_600.0)
    objects = bucket.list(name)
    kept = {each.path for each in objects if each.path.parts[0] == "generations"}
    assert kept == {Path(f"generations/{number:06d}.json") for number in (3, 4, 5)}
    named = {file.sha256 for number in (3, 4, 5) for file in read_manifest(bench.path, number).paths().values()}
    assert {each.path.name for each in objects if each.path.parts[0] == FILES} == named


def test_objects_of_others_stay(bench: Bench, bucket: CountedBucket) -> None:
    name = bench.path.name
    others = [Path("README.md"), Path("elsewhere", "x")]
    for path in others:
        bucket.write(name, path, b"of a user")
    bench.add(bench.document("a"))
    publish(bench.path, bucket, unused_s=0.0)
    assert set(others) <= {each.path for each in bucket.list(name)}


def test_a_removed_object_is_sent_again(bench: Bench, bucket: CountedBucket) -> None:
    bench.add(bench.document("a"))
    publish(bench.path, bucket)
    file = read_manifest(bench.path).segments[0].files[0]
    bucket.delete(bench.path.name, [Path(FILES, file.sha256)])
    assert publish(bench.path, bucket).sent_files == 1
    assert Replica(copy_of(bench), bucket).update()


def test_another_collection_does_not_replace_a_published_one(bench: Bench, bucket: CountedBucket) -> None:
    for name in ("a", "b"):
        bench.add(bench.document(name))
        publish(bench.path, bucket)
    Replica(copy_of(bench), bucket).update()
    shutil.rmtree(bench.path)
    bench.add(bench.document("c"))
    with pytest.raises(InputError, match=r"has generation 2 of 'collection', and this collection has 1; publish to"):
        publish(bench.path, bucket)
    publish(bench.path, bucket, replace=True)
    assert Replica(copy_of(bench), bucket).update()
    assert state(copy_of(bench)) == {"c": "text of c"}


def test_a_damaged_object_is_refused(bench: Bench, bucket: CountedBucket) -> None:
    bench.add(bench.document("a"))
    publish(bench.path, bucket)
    file = read_manifest(bench.path).segments[0].files[0]
    bucket.write(bench.path.name, Path(FILES, file.sha256), b"x" * file.size_bytes)
    with pytest.raises(SourceUnavailable, match="differs from its digest"):
        Replica(copy_of(bench), bucket).update()
    assert not (copy_of(bench) / MANIFEST).exists()


def test_a_missing_bucket_is_named(endpoint: str, bench: Bench, bucket: CountedBucket) -> None:
    del bench, bucket
    with pytest.raises(SourceUnavailable, match="s3://nothing/here"):
        Bucket("s3://nothing/here", endpoint=endpoint).versions()
    with pytest.raises(SettingsError, match="write s3://bucket/prefix"):
        Bucket("s3:///here", endpoint=endpoint)
