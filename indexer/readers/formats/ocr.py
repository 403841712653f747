"""Pages that are pictures, read by tesseract: a program of its own, asked for and checked before anything is read."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.text.reflow import WIDE
from indexer.readers.text.text_builder import one_line
from retrieval.errors import BadDocument, InputError

PROGRAM = "tesseract"
DPI = 300
MOST_PIXELS = 9_000_000  # an A4 page at 300 dpi; scanners write larger pages, which read no better and take longer
SECONDS = 120  # for one page
WORD_LEVEL = "5"
COLUMNS = 12
LEAST_PAGE_SURENESS = 55.0  # percent: pages read in their own language have 80 to 97, in a foreign one 25 to 35
LEAST_LINE_SURENESS = 40.0  # specks and pictures


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands on a page; `unsure` where there is something that the languages given do not explain."""

    text: str
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    sureness: float  # percent
    line: tuple[str, ...]  # numbers of block, paragraph and line


def check_ocr(options: ReadOptions) -> None:
    """Raise InputError where tesseract or one of the languages is not installed."""
    if not options.ocr:
        return
    if shutil.which(PROGRAM) is None:
        raise InputError(
            "--ocr needs the program tesseract; install it with your system's package manager, "
            "as in: apt install tesseract-ocr"
        )
    installed = _installed_languages()
    if missing := [each for each in options.ocr_languages.split("+") if each not in installed]:
        raise InputError(
            f"tesseract has no language {missing[0]!r}; it has {', '.join(installed) or 'none'}; name others with "
            f"--ocr-languages, or install it, as in: apt install tesseract-ocr-{missing[0].replace('_', '-')}"
        )


def _installed_languages() -> list[str]:
    done = subprocess.run([PROGRAM, "--list-langs"], capture_output=True, timeout=SECONDS, check=False)
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").split("\n")
    return [line.strip() for line in lines[1:] if line.strip() and " " not in line.strip() and line.strip() != "osd"]


def read_page(page: Any, options: ReadOptions) -> Reading:
    """The page as tesseract reads its picture; raises BadDocument when that fails."""
    width, height = page.get_size()
    scale = min(DPI / 72, math.sqrt(MOST_PIXELS / max(1.0, width * height)))
    grey = page.render(scale=scale, grayscale=True).to_numpy()
    rows, columns = grey.shape[:2]
    words = _words(b"P5 %d %d 255\n" % (columns, rows) + grey.tobytes(), options.ocr_languages)
    if not words:
        return Reading("")
    if _sureness(words) < LEAST_PAGE_SURENESS:
        return Reading("", unsure=True)
    return Reading("\n".join(_lines(words)))


def _words(picture: bytes, languages: str) -> list[_Word]:
    command = [PROGRAM, "stdin", "stdout", "-l", languages, "tsv"]
    try:
        done = subprocess.run(command, input=picture, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadDocument(f"tesseract takes more than {SECONDS} s for a page") from error
    if done.returncode:
        raise BadDocument(f"tesseract failed: {one_line(done.stderr.decode('utf-8', 'replace'))[:200]}")
    cells = (line.split("\t") for line in done.stdout.decode("utf-8", "replace").split("\n"))
    return [
        _Word(row[11].strip(), float(row[10]), tuple(row[2:5]))
        for row in cells
        if len(row) == COLUMNS and row[0] == WORD_LEVEL and row[11].strip()
    ]


def _sureness(words: Sequence[_Word]) -> float:
    """Mean over the letters."""
    return sum(word.sureness * len(word.text) for word in words) / sum(len(word.text) for word in words)


def _lines(words: Sequence[_Word]) -> Iterator[str]:
    for _, group in groupby(words, key=lambda word: word.line):
        line = list(group)
        if _sureness(line) >= LEAST_LINE_SURENESS:
            yield _joined([word.text for word in line])


def _joined(words: Sequence[str]) -> str:
    """Words of a line; characters of Chinese and Japanese, which are found one by one, have no space between them."""
    parts: list[str] = []
    for word in words:
        glued = parts and WIDE.match(parts[-1][-1]) and WIDE.match(word)
        parts.append(word if glued or not parts else f" {word}")
    return "".join(parts)
