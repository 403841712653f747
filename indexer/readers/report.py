"""What became of the files of a run: counts, those with trouble, and a line of JSON for each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from indexer.readers.options import FileOutcome, FileStatus
from retrieval.util.files import storage_errors

KEPT = 1_000  # troubled files that are remembered for the table at the end; the report has them all


class FileReport:
    """A listener for `open_documents`.  Use as a context, so that the report's file is closed.

    Raises StorageError where the report cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self.counts: Counter[FileStatus] = Counter()
        self.bad = 0  # lines, rows and members, of all files
        self.troubled: list[FileOutcome] = []  # skipped, failed, or read with bad lines; the first of them

    def __enter__(self) -> FileReport:
        if self._path is not None:
            with storage_errors(self._path):
                self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, outcome: FileOutcome) -> None:
        """Take note of one file."""
        self.counts[outcome.status] += 1
        self.bad += outcome.bad
        if outcome.reason and len(self.troubled) < KEPT:
            self.troubled.append(outcome)
        if self._path is not None and self._file is not None:
            with storage_errors(self._path):
                self._file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")

    @property
    def failed(self) -> bool:
        """Whether a file failed or held something bad, which `--strict` makes an error."""
        return bool(self.counts[FileStatus.FAILED] or self.bad)

    def summary(self) -> str:
        """Counts as one line: "31 read, 1 skipped, 1 failed"."""
        return ", ".join(f"{self.counts[status]:,} {status.value}" for status in FileStatus)
