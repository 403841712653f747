"""A parser's process: `python -m indexer.readers.sandbox.worker`.

It reads requests (a file each) from its standard input and answers with documents, errors and an end on its standard
output.  It runs under limits of memory, CPU time, open files and written bytes, so that a hostile file ends this
process alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.dispatch import SkippedFile, broken, read_stream
from indexer.readers.sandbox.wire import OUT_OF_MEMORY, pack_bad, pack_document, read_frame, unpack_options, write_frame
from retrieval.errors import BadDocument

REQUEST_BYTES = 1 << 20
OPEN_FILES = 64


def main() -> None:
    """Answer requests until the standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what a parser prints is no answer
    os.dup2(quiet, 2)
    while request := read_frame(sys.stdin.buffer, REQUEST_BYTES):
        try:
            _answer(request, answers)
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)


def _answer(request: dict[str, Any], answers: BinaryIO) -> None:
    options = unpack_options(request["options"])
    origin = DocumentOrigin(request["shown"], request["name"])
    confine(options.limits)
    end = {"skipped": ""}
    try:
        path = Path(os.fsdecode(bytes.fromhex(request["path"])))
        _send_items(path, origin, replace(options, report_progress=_Progress(answers, options.limits)), answers)
    except SkippedFile as skipped:
        end["skipped"] = str(skipped)
    except MemoryError:
        raise
    except Exception as error:  # a parser may raise anything at all; it must not take the run with it
        write_frame(answers, {"bad": pack_bad(broken(error, origin), origin)})
    write_frame(answers, {"end": end})


def _send_items(path: Path, origin: DocumentOrigin, options: ReadOptions, answers: BinaryIO) -> None:
    left = options.limits.text_bytes
    with path.open("rb") as stream:
        file = read_stream(stream, origin, options)
        write_frame(answers, {"begin": {"format": file.format}})
        for item in file.items:
            if isinstance(item, BadDocument):
                left -= write_frame(answers, {"bad": pack_bad(item, origin)})
                continue
            if left < len(item.text):
                raise BadDocument(f"gives more than {options.limits.text_bytes:,} bytes of text", path=origin.path)
            left -= write_frame(answers, {"document": pack_document(item)})


@dataclass(frozen=True, slots=True)
class _Progress:
    """Says that the work goes on, and begins the computing time anew: what calls it has limits of its own."""

    answers: BinaryIO
    limits: ReadLimits

    def __call__(self) -> None:
        write_frame(self.answers, {"alive": True})
        confine(self.limits)


def confine(limits: ReadLimits) -> None:
    """Set this process's limits for the next file, where the system has them."""
    with contextlib.suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        until = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_seconds
        for name, most in (
            ("RLIMIT_AS", limits.memory_bytes),
            ("RLIMIT_CPU", until),
            ("RLIMIT_FSIZE", limits.text_bytes),
            ("RLIMIT_NOFILE", OPEN_FILES),
            ("RLIMIT_CORE", 0),
        ):
            if hasattr(resource, name):
                _lower(resource, getattr(resource, name), most)


def _lower(resource: Any, which: int, most: int) -> None:
    """Set the soft limit, never above the hard one."""
    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (most, hard))


if __name__ == "__main__":
    main()
