"""Run a parser process: `python -m indexer.readers.sandbox.worker PARENT`.

The process reads requests (one file each) from its standard input. It writes documents, errors and an end message to
its standard output. It limits its memory, CPU time, open files and written bytes, so that a hostile file ends this
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
from indexer.readers.formats.detect import SkippedFile
from indexer.readers.formats.dispatch import as_bad_document, read_stream
from indexer.readers.sandbox.wire import OUT_OF_MEMORY, pack_bad, pack_document, read_frame, unpack_options, write_frame
from retrieval.errors import BadDocument
from retrieval.util.processes import die_with_parent

MAX_REQUEST_BYTES = 1 << 20
MAX_OPEN_FILES = 64


def main() -> None:
    """Answer requests until standard input ends or the parent process dies."""
    die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # a parser may print; its output must not mix with the answers
    os.dup2(devnull, 2)
    while request := read_frame(sys.stdin.buffer, MAX_REQUEST_BYTES):
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
        progress = _ProgressReporter(answers, options.limits)

        def report_unread(part: DocumentOrigin, reason: str) -> None:
            write_frame(answers, {"unread": {"path": part.path, "name": part.name, "reason": reason}})

        options = replace(options, report_progress=progress, report_unread=report_unread)
        _send_items(path, origin, options, answers)
    except SkippedFile as skipped:
        end["skipped"] = str(skipped)
    except MemoryError:
        raise
    except Exception as error:  # a parser may raise any exception; it must not stop the run
        write_frame(answers, {"bad": pack_bad(as_bad_document(error, origin), origin)})
    write_frame(answers, {"end": end})


def _send_items(path: Path, origin: DocumentOrigin, options: ReadOptions, answers: BinaryIO) -> None:
    remaining = options.limits.text_bytes
    with path.open("rb") as stream:
        file = read_stream(stream, origin, options)
        write_frame(answers, {"begin": {"format": file.format.name}})
        for item in file.items:
            if isinstance(item, BadDocument):
                remaining -= write_frame(answers, {"bad": pack_bad(item, origin)})
                continue
            if remaining < len(item.text):
                raise BadDocument(f"gives more than {options.limits.text_bytes:,} bytes of text", path=origin.path)
            remaining -= write_frame(answers, {"document": pack_document(item)})


@dataclass(frozen=True, slots=True)
class _ProgressReporter:
    """Tells the pool that work goes on, and renews the CPU limit."""

    answers: BinaryIO
    limits: ReadLimits

    def __call__(self) -> None:
        write_frame(self.answers, {"alive": True})
        confine(self.limits)


def confine(limits: ReadLimits) -> None:
    """Set the limits of this process for the next file, if the system supports them."""
    with contextlib.suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_seconds = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_seconds
        for name, limit in (
            ("RLIMIT_AS", limits.memory_bytes),
            ("RLIMIT_CPU", cpu_seconds),
            ("RLIMIT_FSIZE", limits.text_bytes),
            ("RLIMIT_NOFILE", MAX_OPEN_FILES),
            ("RLIMIT_CORE", 0),
        ):
            if hasattr(resource, name):
                _set_soft_limit(resource, getattr(resource, name), limit)


def _set_soft_limit(resource: Any, kind: int, limit: int) -> None:
    """Set the soft limit, but never above the hard limit."""
    _, hard = resource.getrlimit(kind)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (limit, hard))


if __name__ == "__main__":
    main()
