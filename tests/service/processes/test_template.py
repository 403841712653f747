"""A template and the workers that are copies of it: real processes that write what they are to a file."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import socket

import pytest

from service.processes.template import MAX_PAUSE_S, Orphans, Place, StartProgram, Template, WorkerProcess, pause_after
from service.runtime.process import raise_open_files
from tests.service.conftest import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hand over orphans")

PR_SET_CHILD_SUBREAPER = 36
PROGRAM = """
import json, os, signal, socket, sys
from pathlib import Path
from service.processes.template import next_place
channel, forks, folder = int(sys.argv[1]), sys.argv[2] == "True", Path(sys.argv[3])
template = os.getpid()
place = next_place(socket.socket(fileno=channel), forks=forks)
facts = {"row": place.row, "template": template, "parent": os.getppid(), "group": os.getpgid(0)}
(folder / "new").write_text(json.dumps(facts))
(folder / "new").rename(folder / str(os.getpid()))
signal.pause()
"""


@pytest.fixture
def started() -> Iterator[list[WorkerProcess]]:
    """Return a list for the processes of a test, which end after it."""
    workers: list[WorkerProcess] = []
    yield workers
    for worker in workers:
        worker.kill()
        eventually(lambda: worker.poll() is not None)  # noqa: B023
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def program(folder: Path, *, forks: bool) -> StartProgram:
    def start(channel: socket) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(channel.fileno()), str(forks), str(folder)]
        return subprocess.Popen(command, pass_fds=(channel.fileno(),))

    return start


def made(template: Template, row: int, started: list[WorkerProcess]) -> WorkerProcess:
    """Ask until the template is ready."""

    def make() -> bool:
        if (worker := template.make(Place(row, 1, 2))) is not None:
            started.append(worker)
        return worker is not None

    eventually(make)
    return started[-1]


def facts(folder: Path, worker: WorkerProcess) -> dict[str, int]:
    eventually((folder / str(worker.pid)).exists)
    return dict(json.loads((folder / str(worker.pid)).read_text()))


def test_workers_are_copies_of_a_template_and_children_of_the_parent(
    tmp_path: Path, started: list[WorkerProcess]
) -> None:
    template = Template(program(tmp_path, forks=True), forks=True)
    workers = [made(template, row, started) for row in (1, 2)]
    found = [facts(tmp_path, worker) for worker in workers]
    assert [each["row"] for each in found] == [1, 2]
    assert {each["parent"] for each in found} == {os.getpid()}
    assert [each["group"] for each in found] == [worker.pid for worker in workers]
    assert found[0]["template"] == found[1]["template"] not in {worker.pid for worker in workers}
    template.renew()
    assert [worker.poll() for worker in workers] == [None, None]  # they do not need it any more
    workers[0].send_signal(signal.SIGTERM)
    eventually(lambda: workers[0].poll() == -signal.SIGTERM)


def test_the_parent_may_have_many_open_files(tmp_path: Path, started: list[WorkerProcess]) -> None:
    raise_open_files(2_000)
    with ExitStack() as files:
        for _ in range(1_100):
            files.enter_context(Path(os.devnull).open("rb"))
        template = Template(program(tmp_path, forks=True), forks=True)
        assert facts(tmp_path, made(template, 1, started))["row"] == 1
        template.renew()


def test_a_template_that_was_killed_is_replaced(tmp_path: Path, started: list[WorkerProcess]) -> None:
    template = Template(program(tmp_path, forks=True), forks=True)
    first = facts(tmp_path, made(template, 1, started))
    os.kill(first["template"], signal.SIGKILL)
    second = facts(tmp_path, made(template, 2, started))
    assert second["template"] != first["template"]
    assert template.failure() is None
    template.renew()


def test_where_no_process_can_be_copied_the_template_is_the_worker(
    tmp_path: Path, started: list[WorkerProcess]
) -> None:
    template = Template(program(tmp_path, forks=False), forks=False)
    workers = [made(template, row, started) for row in (1, 2)]
    found = [facts(tmp_path, worker) for worker in workers]
    assert [each["template"] for each in found] == [worker.pid for worker in workers]
    template.renew()


def test_a_template_that_does_not_start_is_reported_once() -> None:
    def start(channel: socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], pass_fds=(channel.fileno(),))

    template, statuses = Template(start, forks=False), []

    def fails() -> bool:
        assert template.make(Place(1, 1, 1)) is None
        statuses.append(template.failure())
        return statuses[-1] is not None

    eventually(fails)
    assert statuses[-1] == 3
    assert template.make(Place(1, 1, 1)) is None  # it waits before the next start
    assert template.failure() is None


def test_pauses_grow_to_a_bound() -> None:
    assert [pause_after(failures) for failures in (0, 1, 2, 3, 20)] == [0, 0.5, 1, 2, MAX_PAUSE_S]


@pytest.mark.usefixtures("started")
def test_an_orphan_does_not_stay_in_the_process_table() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    code = "import os; print(os.fork() or 0, flush=True); os._exit(0)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    orphan = max(map(int, found))
    orphans = Orphans()

    def is_gone() -> bool:
        orphans.reap()
        return not Path(f"/proc/{orphan}").exists()

    eventually(is_gone)
