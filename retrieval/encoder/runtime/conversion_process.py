"""Convert an encoder in another process, so that the memory of torch ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from retrieval import errors
from retrieval.errors import AttendexError

CONVERTER = "retrieval.encoder.runtime.converter"  # the program


class GraphKind(StrEnum):
    """The kind of a model, which decides how its folder is read."""

    ENCODER = "encoder"
    PAIRS = "pairs"
    TOKENS = "tokens"
    SPLADE = "splade"


@contextmanager
def converted_apart(kind: GraphKind, folder: Path, target: Path) -> Iterator[Path]:
    """Convert a model; yield the folder of its graph.

    That is `target`, or a temporary one if `target` cannot be written.  Raises AttendexError or RuntimeError as the
    conversion does.
    """
    with TemporaryDirectory() as spare:
        command = [sys.executable, "-m", CONVERTER, kind, str(folder), str(target), spare]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise _failure(done)
        yield Path(json.loads(done.stdout.splitlines()[-1])["path"])


def _failure(done: subprocess.CompletedProcess[str]) -> Exception:
    """Return the exception that ended the other process."""
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        name, message = found["error"], found["message"]
    except (ValueError, KeyError, IndexError):
        return RuntimeError(f"the process that converts the encoder ended with status {done.returncode}")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, AttendexError):
        return kind(message)
    return RuntimeError(f"{name}: {message}")
