"""A process beside the service that reads the sources of its collections.

It reads, parses and encodes, so that this work never delays a search.  The service sees its commits as those of any
other process.  The kernel closes its standard input when the service ends, and then it ends, too.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from indexer.sources.settings import SourceSettings
from service.observability.logs import LOGGER

RESTART_SECONDS = 10.0
END_SECONDS = 20.0


class SyncProcess:
    """Runs `attendex sync --watch`, again if it fails.  Use it as a context manager."""

    def __init__(self, directory: Path, sources: Sequence[SourceSettings]) -> None:
        self._directory = directory
        self._sources = sources
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="attendex-sync")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # guards the process against an end before its start
        self._logger = logging.getLogger(LOGGER)

    def __enter__(self) -> SyncProcess:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the process; it finishes the commit that it is writing."""
        self._ending.set()
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
        self._thread.join(END_SECONDS)
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _run(self) -> None:
        while not self._ending.is_set():
            with self._lock:
                if self._ending.is_set():
                    return
                try:
                    self._process = self._start()
                except OSError as error:  # too little memory, or too many processes: that may pass
                    self._process, status = None, str(error)
            if self._process is not None:
                status = str(self._process.wait())
            if not self._ending.wait(RESTART_SECONDS):
                fields = {"status": status, "directory": str(self._directory)}
                self._logger.error("the synchronization ended and is started again", extra={"fields": fields})

    def _start(self) -> subprocess.Popen[bytes]:
        tables = [each.model_dump(exclude_unset=True) for each in self._sources]
        roots = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
        environment = {**os.environ, "ATTENDEX_SOURCES": json.dumps(tables), "PYTHONPATH": roots}
        environment.pop("ATTENDEX_CONFIG", None)
        command = [sys.executable, "-P", "-m", "service", "sync", str(self._directory), "--watch", "--attached"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
