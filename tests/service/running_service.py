"""A service with several processes, as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.service.conftest import eventually


@dataclass(frozen=True)
class RunningProcesses:
    """A running service, and the lines of its log."""

    url: str
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [child.pid for child in self._children() if child.name() == "attendex-worker"]

    def template(self) -> int:
        """Return the process id of the template, of which the workers are copies."""
        return next(child.pid for child in self._children() if child.name() != "attendex-worker")

    def _children(self) -> list[psutil.Process]:
        return sorted(psutil.Process(self.process.pid).children(), key=lambda child: child.pid)

    def is_ready(self) -> bool:
        """Check whether all workers are ready."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=120)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and not answer.json()["warnings"]


@contextmanager
def running_processes(folder: Path, processes: int, *options: str) -> Iterator[RunningProcesses]:
    """Run `attendex serve --processes`; wait until all workers are ready."""
    command = [sys.executable, "-m", "service", "serve", str(folder), "--port", "0", "--processes", str(processes)]
    quiet = ["--set", "log.requests=false", "--set", "drain_seconds=0"]
    with subprocess.Popen([*command, *quiet, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        running = RunningProcesses(url, process)
        reader = threading.Thread(target=running.log.extend, args=(process.stderr,))
        reader.start()
        try:
            eventually(running.is_ready, 180)  # on a machine with much other work
            yield running
        finally:
            process.terminate()
            process.wait(60)
            reader.join()
