"""Compare the parsers of each format: text quality, speed, licence and size.

    python -m benchmarks.parsers FOLDER [--format pdf]

FOLDER has the files that `parser_phrases.tsv` names; `benchmarks.parser_samples` makes those under `made/`. A phrase is
found if the text has it, white space aside. A phrase that begins with "!" (a menu, a script) must not occur. Each
candidate runs in a process of its own; its import is not timed. A candidate that is not installed fails on each file.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.metadata
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import html_samples
from benchmarks.parser_candidates import CANDIDATES, CODE, FORMATS, ParserCandidate
from benchmarks.parser_samples import write_samples

PHRASES = Path(__file__).parent / "parser_phrases.tsv"
FAMILIES: dict[str, tuple[str, ...]] = {suffix[1:]: (suffix,) for suffix in FORMATS if suffix not in (".html", ".htm")}
FAMILIES |= {"html": (".html", ".htm"), "code": CODE}
FILE_SECONDS = 120


@dataclass(slots=True)
class ParserScore:
    """Counts of one candidate for one format."""

    files: int = 0
    failed: int = 0
    found: int = 0
    phrases: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0


def main() -> None:
    """Run every candidate on its files, and print a table for each format."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--format", default="", help=", ".join(FAMILIES))
    options = arguments.parse_args()
    phrases: dict[str, list[str]] = defaultdict(list)
    with PHRASES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            phrases[row["file"]].append(row["phrase"])
    phrases |= html_samples.phrases()
    with tempfile.TemporaryDirectory() as made:
        write_samples(Path(made) / "made")
        for title, family in FAMILIES.items():
            if options.format in ("", title):
                names = [name for name in phrases if Path(name).suffix in family]
                files = [(Path(made) if name.startswith("made/") else options.folder) / name for name in names]
                _table(title, files, [phrases[name] for name in names])


def _table(title: str, files: list[Path], phrases: list[list[str]]) -> None:
    print(f"\n{title}: {len(files)} files, {sum(map(len, phrases))} phrases")
    print("| parser | phrases | failed | MB/s | seconds | licence |")
    print("| --- | --- | --- | --- | --- | --- |")
    for candidate in CANDIDATES:
        score = ParserScore()
        for path, wanted in zip(files, phrases, strict=True):
            if path.suffix in candidate.suffixes:
                _add(score, candidate, path, wanted)
        if not score.files:
            continue
        speed = score.megabytes / score.seconds if score.seconds else 0.0
        row = (
            candidate.distribution,
            f"{score.found}/{score.phrases}",
            score.failed,
            f"{speed:.1f}",
            f"{score.seconds:.2f}",
        )
        print("| " + " | ".join(map(str, (*row, _licence(candidate.distribution)))) + " |")


def _add(score: ParserScore, candidate: ParserCandidate, path: Path, wanted: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=_read, args=(candidate.read, path, answers))
    process.start()
    text, seconds = "", float(FILE_SECONDS)
    with contextlib.suppress(Exception):  # an empty queue: the parser hung or died
        text, seconds = answers.get(timeout=FILE_SECONDS)
    process.kill()
    process.join()
    score.files += 1
    score.failed += not text
    score.seconds += seconds
    score.megabytes += path.stat().st_size / 1e6
    shown = "".join(text.split())
    for phrase in wanted:
        forbidden = phrase.startswith("!")
        score.phrases += 1
        score.found += bool(text) and (("".join(phrase.lstrip("!").split()) in shown) != forbidden)


def _read(read: Callable[[Path], str], path: Path, answers: Any) -> None:
    """Read a file twice: first to import the parser, then to measure the time."""
    try:
        read(path)
        started = time.perf_counter()
        text = read(path)
        answers.put((text, time.perf_counter() - started))
    except Exception:  # a candidate may raise any exception, and then fails
        answers.put(("", 0.0))


def _licence(distribution: str) -> str:
    try:
        about = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
    expression, classifiers, texts = (
        about.get_all(field) or [] for field in ("License-Expression", "Classifier", "License")
    )
    named = ", ".join(name.rsplit(" :: ", 1)[-1] for name in classifiers if "License" in name)
    licence: str = next((text for text in (*expression, named, *texts) if text), "")
    return licence.partition("\n")[0][:60]


if __name__ == "__main__":
    main()
