"""Start a service with several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.util.cores import cores
from service.config.settings import Settings
from service.processes.peers import METRICS_FOLDER, NUMBERS_FILE, WRITER_SOCKET
from service.processes.runtime_folder import RunningService, describe_service, runtime_folder
from service.processes.shared_numbers import SharedNumbers
from service.processes.supervisor import Supervisor
from service.processes.template import Place, Template, WorkerProcess

WORKER = "service.commands.worker"
FIRST = 1  # the worker that gets a caller without company, and encodes its text on all cores
BACKLOG = 1_024  # changes that wait for the writer


@dataclass(frozen=True, slots=True)
class WorkerOrders:
    """The orders that all workers of a service share."""

    directory: str
    flags: Mapping[str, Any]  # of the command line: each worker reads the settings anew
    parent: int  # process id
    folder: str  # the runtime folder
    forks: bool  # whether the template makes copies of itself, or becomes a worker
    listener: int  # descriptor of the socket of the service
    writer_listener: int  # descriptor of the socket of the writer
    channel: int  # descriptor of the socket by which the parent asks for workers

    @classmethod
    def read(cls) -> WorkerOrders:
        """Return the orders on the standard input."""
        return cls(**json.load(sys.stdin))


def run_workers(
    directory: Path,
    settings: Settings,
    flags: Mapping[str, Any],
    listener: socket.socket,
    url: str,
    on_started: Callable[[], None],
) -> int:
    """Serve with several processes until a signal; return the exit status.

    `on_started` is called once, when all workers are ready.
    """
    processes = settings.worker_processes
    with runtime_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as writer_listener:
        writer_listener.bind(str(folder / WRITER_SOCKET))
        (folder / WRITER_SOCKET).chmod(0o600)
        writer_listener.listen(BACKLOG)
        (folder / METRICS_FOLDER).mkdir(mode=0o700)
        numbers = SharedNumbers.create(folder / NUMBERS_FILE, rows=2 * processes + 2)
        describe_service(folder, RunningService(os.getpid(), str(directory.resolve()), url))
        shares = shares_of(cores(), processes)

        def start_program(channel: socket.socket) -> subprocess.Popen[bytes]:
            orders = WorkerOrders(
                directory=str(directory),
                flags=flags,
                parent=os.getpid(),
                folder=str(folder),
                forks=template.forks,
                listener=listener.fileno(),
                writer_listener=writer_listener.fileno(),
                channel=channel.fileno(),
            )
            return start_template(orders)

        template = Template(start_program)

        def start_worker(row: int, number: int) -> WorkerProcess | None:
            share = shares[number - 1]
            return template.make(Place(row, share, cores() if number == FIRST else share))

        return Supervisor(template, start_worker, numbers, processes, settings.grace_seconds, on_started).run()


def start_template(orders: WorkerOrders) -> subprocess.Popen[bytes]:
    """Start a template as a new program that inherits the sockets."""
    process = subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        pass_fds=(orders.listener, orders.writer_listener, orders.channel),
        process_group=0,
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(asdict(orders), default=str).encode())
    return process


def shares_of(machine_cores: int, processes: int) -> list[int]:
    """Return the cores of each worker; each has one at least."""
    share, more = divmod(machine_cores, processes)
    return [max(1, share + (number < more)) for number in range(processes)]
