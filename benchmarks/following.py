"""Measure a follower: the time from commit to served, and the bytes fetched.

    python -m benchmarks.following                # `attendex serve --follow FOLDER`
    python -m benchmarks.following --s3           # `attendex publish`, and a follower of the bucket of a local server

The collection has synthetic words and random vectors.  Each commit adds or deletes some documents; the time ends when
the follower, a process of its own, tells the new generation.  With --s3 it has the time of `publish`.  A second copy,
in this process, counts the bytes that it asks for: manifests, and parts of them, included.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np

from benchmarks.scale import WORDS, WORDS_OF_A_PASSAGE, build
from benchmarks.service import running
from indexer.replicas.bucket import Bucket
from indexer.replicas.folder_source import FolderOfCollections
from indexer.replicas.generation_files import GenerationFiles, list_generation
from indexer.replicas.publish import publish
from indexer.replicas.replica import Replica
from indexer.replicas.source import ReplicaSource
from indexer.writing.sharded_writer import open_writer
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST
from retrieval.types import Document, Passage

NAME = "synthetic"
POLL_S = 0.01


class Counted:
    """A source that counts the bytes that it gives."""

    def __init__(self, source: ReplicaSource) -> None:
        self.address = source.address
        self.given_bytes = 0
        self._source = source

    def versions(self) -> dict[str, str]:
        return self._source.versions()

    def read(self, name: str, path: Path) -> bytes:
        return self._counted(self._source.read(name, path))

    def end(self, name: str, path: Path) -> bytes:
        return self._counted(self._source.end(name, path))

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[bytes]:
        yield from map(self._counted, self._source.chunks(name, path, record))

    def _counted(self, data: bytes) -> bytes:
        self.given_bytes += len(data)
        return data


def listed(collection: Path) -> GenerationFiles:
    """Return the files of the current generation."""
    return list_generation((collection / MANIFEST).read_bytes(), lambda path: (collection / path).read_bytes())


def changed_bytes(before: GenerationFiles, after: GenerationFiles) -> int:
    """Return the bytes of files and manifests of `after` that `before` does not have."""
    known = {record.sha256 for record in before.files.values()}
    new = {record.sha256: record.size_bytes for record in after.files.values() if record.sha256 not in known}
    manifests = [data for path, data in after.manifests.items() if before.manifests.get(path) != data]
    return sum(new.values()) + sum(map(len, manifests))


def commit(collection: Path, number: int, documents: int, dimension: int) -> None:
    """Add documents, and delete as many of the first ones."""
    dice = np.random.default_rng(number)
    ranks = dice.integers(1, WORDS, (documents, WORDS_OF_A_PASSAGE)).tolist()
    made = [Document(f"new{number}-{n}", " ".join(f"w{rank}" for rank in row)) for n, row in enumerate(ranks)]
    vectors = dice.standard_normal((documents, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with open_writer(collection) as writer:
        writer.add(made, [[Passage(0, len(each.text))] for each in made], vectors)
        writer.delete([f"d{number * documents + n}" for n in range(documents)])
        writer.commit()


def wait_until_served(url: str, generation: int) -> None:
    while httpx.get(f"{url}/v1/collections/{NAME}").json().get("generation") != generation:
        time.sleep(POLL_S)


def measure(options: argparse.Namespace, folder: Path, source: ReplicaSource, publishes: Callable[[], object]) -> None:
    """Build, follow, commit and print."""
    collection, encoder = folder / "source" / NAME, load_encoder(DEFAULT)
    collection.parent.mkdir()
    build(collection, encoder, options.passages, options.shards)
    publishes()
    counted = Counted(source)
    second = Replica(folder / NAME, counted)
    second.update()
    print(f"{options.passages:,} passages, {listed(collection).size_bytes / 1e6:.1f} MB, copied to follow them")
    endpoint = getattr(options, "endpoint", "")
    given = ["--follow", source.address, *(["--set", f"follow.endpoint={endpoint}"] if endpoint else [])]
    (folder / "copies").mkdir()
    seconds, ratios = [], []
    with running(folder / "copies", given) as service:
        wait_until_served(service.url, listed(collection).generation)
        for number in range(options.commits):
            before = listed(collection)
            commit(collection, number, options.documents, encoder.dimension)
            started = time.perf_counter()
            publishes()
            wait_until_served(service.url, listed(collection).generation)
            seconds.append(time.perf_counter() - started)
            counted.given_bytes = 0
            second.update()
            ratios.append(counted.given_bytes / changed_bytes(before, listed(collection)))
            print(f"commit {number + 1}: served after {seconds[-1]:.2f} s, fetched {ratios[-1]:.3f} of what changed")
    print(f"served after: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"fetched of what changed: largest {max(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument("--documents", type=int, default=100, help="that a commit adds, and deletes")
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not options.s3:
            measure(options, folder, FolderOfCollections(folder / "source"), lambda: None)
            return
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it reports each request
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        stack.callback(server.stop)
        options.endpoint = "http://{}:{}".format(*server.get_host_and_port())
        os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        httpx.put(f"{options.endpoint}/bucket").raise_for_status()
        bucket = Bucket("s3://bucket/collections", endpoint=options.endpoint)
        measure(options, folder, bucket, lambda: publish(folder / "source" / NAME, bucket))


if __name__ == "__main__":
    main()
