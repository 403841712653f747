"""The demo of `make demo`: index, evaluate, serve and search a collection.

The documents are the standard library's documentation.  The demo uses the commands and HTTP routes of a user, and
prints each command before it runs.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from benchmarks.demo.commands import DemoError, attendex, fail, run, show
from benchmarks.demo.stdlib import write_documents

HOST = "127.0.0.1"
QUESTIONS = Path(__file__).resolve().parents[2] / "indexer" / "adapting" / "questions"
EXAMPLES = (
    "remove whitespace from the end of a string",
    "do something with every pair of neighbours in a list",
    "how do I cache what a slow function returns?",
)
STARTUP_SECONDS = 120
SNIPPET_CHARACTERS = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    options = _options(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        check_port(options.port, "demo")
        _demo(console, options.folder, options.port, once=options.once)
    except DemoError as error:
        return fail(error)
    except KeyboardInterrupt:
        console.print("\nstopped")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.demo", description="Index, evaluate, serve and ask.")
    parser.add_argument("--once", action="store_true", help="stop after the three answers")
    parser.add_argument("--port", type=int, default=8080, help="port of the service (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the files go (default: %(default)s)")
    return parser.parse_args(arguments)


def _demo(console: Console, folder: Path, port: int, *, once: bool) -> None:
    documents, collection = folder / "python.jsonl", folder / "python"
    console.rule("The documentation of Python's standard library", align="left")
    count = write_documents(documents)
    console.print(f"{count:,} documented functions, classes, methods and modules → {documents}\n")
    shutil.rmtree(collection, ignore_errors=True)
    run(console, "index", documents, "--into", collection)
    console.rule("How good is the ranking?", align="left")
    questions = ["--queries", QUESTIONS / "queries.jsonl", "--qrels", QUESTIONS / "qrels.tsv"]
    run(console, "evaluate", collection, *questions, "--measures", "nDCG@10 RR@10 R@100")
    console.rule("Three questions over HTTP", align="left")
    with service(console, collection, port) as (base, process):
        for question in EXAMPLES:
            _search(console, base, question)
        if not once:
            console.print(f"[bold]Open {base}/ in a browser[/bold], or read {base}/openapi.json.  Ctrl-C stops.")
            process.wait()


def check_port(port: int, target: str) -> None:
    """Raise DemoError before the work if the port is in use; `target` is that of make."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(
                f"port {port} of {HOST} cannot be used ({error.strerror}). Stop the program that has it, "
                f"or take another one: make {target} PORT={port + 1}"
            ) from error


@contextmanager
def service(
    console: Console, collection: Path, port: int, options: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `attendex serve` during the block; its log is a file beside the collection."""
    base, log = f"http://{HOST}:{port}", collection.with_name("service.log")
    words = ["serve", str(collection), "--port", str(port), *options]
    show(console, words)
    console.print()
    with log.open("wb") as output, subprocess.Popen([*attendex(), *words], stderr=output) as process:
        try:
            _wait_until_ready(base, process, log)
            yield base, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def _wait_until_ready(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"the service ended with exit code {process.returncode}; see {log}")
        try:
            if httpx.get(f"{base}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise DemoError(f"the service was not ready after {STARTUP_SECONDS} seconds; see {log}")


def _search(console: Console, base: str, question: str) -> None:
    response = httpx.post(f"{base}/v1/collections/python/search", json={"query": question, "k": 3}, timeout=30)
    if response.status_code != 200:
        raise DemoError(f"the service answered {response.status_code} to {question!r}: {response.text}")
    answer: dict[str, Any] = response.json()
    console.print(f"[bold]“{escape(question)}”[/bold]  [dim]{answer['timings_ms']['total']:.0f} ms[/dim]")
    for hit in answer["hits"]:
        console.print(f"  {hit['rank']}. {hit['score']:.3f}  [green]{escape(hit['title'] or hit['id'])}[/green]")
        console.print(f"            [dim]{escape(_snippet(hit['passages'][0]['text']))}[/dim]")
    console.print()


def _snippet(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SNIPPET_CHARACTERS else line[: SNIPPET_CHARACTERS - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
