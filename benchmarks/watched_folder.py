"""Measure a watched folder: from a change to a search, and the CPU at rest.

    python -m benchmarks.watched_folder
    python -m benchmarks.watched_folder --files 10000 --changes 10 --rest 30

`attendex serve --watch` serves the collection; all times include it, and its process that synchronizes.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from benchmarks.partial_updates import products
from indexer.building.source_sync import sync_collection
from indexer.sources.settings import SourceSettings

FILES_A_FOLDER = 500
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
SETTINGS = """
[log]
requests = false

[[sources]]
source = "{folder}"
collection = "notes"
delete = "now"
"""


def write_files(folder: Path, count: int) -> list[Path]:
    """Write small text files into folders; return their paths."""
    paths = []
    for number, product in enumerate(products(count)):
        path = folder / f"{number // FILES_A_FOLDER:03}" / f"{number:06}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{product.title}\n\n{product.text}\n")
        paths.append(path)
    return paths


@contextmanager
def serving(root: Path, settings: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `attendex serve --watch`; yield its address and its process."""
    command = [sys.executable, "-m", "service", "serve", str(root), "--port", "0", "--watch", "--config", str(settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()  # empty the pipe, or the service would block
        try:
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of all that it started."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def found_after_s(url: str, word: str, *, wanted: bool, started: float) -> float:
    """Return the seconds until a search finds a word, or finds it no longer."""
    while time.perf_counter() - started < PATIENCE_SECONDS:
        body = {"query": word, "mode": "lexical", "k": 1}
        with suppress(httpx.TransportError):  # the service is still starting
            answer = httpx.post(f"{url}/v1/collections/notes/search", json=body)
            if answer.status_code == 200 and bool(answer.json()["hits"]) == wanted:
                return time.perf_counter() - started
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"{word} was not {'found' if wanted else 'gone'} after {PATIENCE_SECONDS:g} s")


def measure(url: str, paths: Sequence[Path], changes: int) -> None:
    """Change, add and delete files; print the seconds until searches show it."""
    dice = random.Random(1)
    seconds: dict[str, list[float]] = {"changed": [], "new": [], "deleted": []}
    for number in range(changes):
        changed, new = dice.choice(paths), paths[0].parent / f"new-{number}.txt"
        for name, path in (("changed", changed), ("new", new)):
            word = f"zyx{name}{number}"
            path.write_text(f"A note about {word}.\n")
            seconds[name].append(found_after_s(url, word, wanted=True, started=time.perf_counter()))
        new.unlink()
        seconds["deleted"].append(found_after_s(url, f"zyxnew{number}", wanted=False, started=time.perf_counter()))
    for name, values in seconds.items():
        print(f"{name:<12} median {statistics.median(values):6.2f} s   longest {max(values):6.2f} s", flush=True)


def run(root: Path, count: int, changes: int, rest_s: float) -> None:
    folder, collections = root / "in", root / "collections"
    collections.mkdir()
    paths = write_files(folder, count)
    started = time.perf_counter()
    report = sync_collection(collections / "notes", [SourceSettings(source=str(folder), delete="now")])
    print(f"first synchronization of {report.documents:,} files: {time.perf_counter() - started:.1f} s", flush=True)
    settings = root / "attendex.toml"
    settings.write_text(SETTINGS.format(folder=folder))
    with serving(collections, settings) as (url, process):
        (folder / "first.txt").write_text("A note about zyxfirst.\n")
        found_after_s(url, "zyxfirst", wanted=True, started=time.perf_counter())  # the encoder is loaded now
        measure(url, paths, changes)
        time.sleep(2.0)
        before = cpu_s(process)
        time.sleep(rest_s)
        print(f"at rest      {(cpu_s(process) - before) / rest_s:6.2%} of a core", flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--rest", type=float, default=30.0)
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="attendex-watched-"))
    try:
        run(root, given.files, given.changes, given.rest)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main(sys.argv[1:])
