"""OCR: read the picture of a page with the program tesseract."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.text.reflow import WIDE
from indexer.readers.text.text_builder import one_line
from retrieval.errors import BadDocument, InputError
from retrieval.util.processes import die_with_parent

PROGRAM = "tesseract"
DPI = 300
MAX_PIXELS = 9_000_000  # an A4 page at 300 dpi; larger scans take longer and give no better text
PAGE_SECONDS = 120
WORD_LEVEL = "5"
COLUMNS = 12
MIN_PAGE_CONFIDENCE = 55.0  # percent; a page in a given language has 80 to 97, in another language 25 to 35
MIN_LINE_CONFIDENCE = 40.0  # percent; specks and pictures have less
MAX_ERROR_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class OcrResult:
    """Text of a page; `is_unreadable` means marks that are no words."""

    text: str
    is_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class _OcrWord:
    text: str
    confidence: float  # percent
    line: tuple[str, ...]  # numbers of block, paragraph and line


def check_ocr(options: ReadOptions) -> None:
    """Raise InputError if OCR lacks tesseract or one of the languages."""
    if not options.ocr:
        return
    if shutil.which(PROGRAM) is None:
        raise InputError(
            "--ocr needs the program tesseract; install it with your system's package manager, "
            "as in: apt install tesseract-ocr"
        )
    installed = _installed_languages()
    if missing := [name for name in options.ocr_languages.split("+") if name not in installed]:
        raise InputError(
            f"tesseract has no language {missing[0]!r}; it has {', '.join(installed) or 'none'}; name others with "
            f"--ocr-languages, or install it, as in: apt install tesseract-ocr-{missing[0].replace('_', '-')}"
        )


def _installed_languages() -> list[str]:
    done = subprocess.run([PROGRAM, "--list-langs"], capture_output=True, timeout=PAGE_SECONDS, check=False)
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").split("\n")
    return [line.strip() for line in lines[1:] if line.strip() and " " not in line.strip() and line.strip() != "osd"]


def read_page(page: Any, options: ReadOptions) -> OcrResult:
    """Read the picture of a PDF page; raise BadDocument if tesseract fails."""
    width, height = page.get_size()
    scale = min(DPI / 72, math.sqrt(MAX_PIXELS / max(1.0, width * height)))
    grey = page.render(scale=scale, grayscale=True).to_numpy()
    rows, columns = grey.shape[:2]
    words = _read_words(b"P5 %d %d 255\n" % (columns, rows) + grey.tobytes(), options.ocr_languages)
    if not words:
        return OcrResult("")
    if _confidence(words) < MIN_PAGE_CONFIDENCE:
        return OcrResult("", is_unreadable=True)
    return OcrResult("\n".join(_lines(words)))


def _read_words(picture: bytes, languages: str) -> list[_OcrWord]:
    command = [PROGRAM, "stdin", "stdout", "-l", languages, "tsv"]
    try:
        done = subprocess.run(
            command,
            input=picture,
            capture_output=True,
            timeout=PAGE_SECONDS,
            check=False,
            preexec_fn=partial(die_with_parent, os.getpid()),  # safe: a parser process has one thread
        )
    except subprocess.TimeoutExpired as error:
        raise BadDocument(f"tesseract takes more than {PAGE_SECONDS} s for a page") from error
    if done.returncode:
        reason = one_line(done.stderr.decode("utf-8", "replace"))
        raise BadDocument(f"tesseract failed: {reason[:MAX_ERROR_CHARACTERS]}")
    cells = (line.split("\t") for line in done.stdout.decode("utf-8", "replace").split("\n"))
    return [
        _OcrWord(row[11].strip(), float(row[10]), tuple(row[2:5]))
        for row in cells
        if len(row) == COLUMNS and row[0] == WORD_LEVEL and row[11].strip()
    ]


def _confidence(words: Sequence[_OcrWord]) -> float:
    """Return the mean confidence over the letters."""
    return sum(word.confidence * len(word.text) for word in words) / sum(len(word.text) for word in words)


def _lines(words: Sequence[_OcrWord]) -> Iterator[str]:
    for _, group in groupby(words, key=lambda word: word.line):
        line = list(group)
        if _confidence(line) >= MIN_LINE_CONFIDENCE:
            yield _join_words([word.text for word in line])


def _join_words(words: Sequence[str]) -> str:
    """Join words with spaces, but single Chinese and Japanese characters without."""
    parts: list[str] = []
    for word in words:
        is_joined = parts and WIDE.match(parts[-1][-1]) and WIDE.match(word)
        parts.append(word if is_joined or not parts else f" {word}")
    return "".join(parts)
