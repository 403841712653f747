"""The template and the workers of a service: `python -m service.commands.worker`.

The parent (`service/processes/supervisor.py`) starts the template, writes its orders to its standard input, and then
asks it for each worker.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import AttendexError
from retrieval.util.cores import ALONE_VARIABLE, SHARE_VARIABLE
from retrieval.util.processes import die_with_parent, name_process
from retrieval.util.visible_text import visible
from service.runtime.process import give_back_memory, prepare_process, raise_open_files

if TYPE_CHECKING:
    from retrieval.index.collection.sharded_reader import JoinShards
    from service.config.settings import Settings
    from service.http.server import Server
    from service.processes.launch import WorkerOrders
    from service.processes.peers import Peers
    from service.processes.template import Place

WORKER_NAME = "attendex-worker"  # in lists of processes


def main() -> None:
    """Wait as a template; in each worker, serve until the parent tells it to end."""
    from service.processes.launch import WorkerOrders
    from service.processes.template import next_place

    orders = WorkerOrders.read()
    die_with_parent(orders.parent)
    prepare_process()
    import_heavy_code()
    place = next_place(socket.socket(fileno=orders.channel), forks=orders.forks)
    die_with_parent(orders.parent)  # a copy does not inherit this
    name_process(WORKER_NAME)
    os.environ |= {SHARE_VARIABLE: str(place.cores), ALONE_VARIABLE: str(place.cores_alone)}
    try:
        run_worker(orders, place)
    except AttendexError as error:
        sys.exit(f"error: {visible(str(error))}")


def import_heavy_code() -> None:
    """Import what every worker needs, before the template is copied."""
    import service.app
    import service.http.worker_server  # noqa: F401
    from retrieval.encoder.runtime.openvino_runtime import import_openvino

    import_openvino()
    give_back_memory()


def run_worker(orders: WorkerOrders, place: Place) -> None:
    """Serve on the inherited sockets."""
    from service.config.settings import load_settings
    from service.http.worker_server import WorkerServer
    from service.observability.metrics import share_metrics
    from service.processes.peers import METRICS_FOLDER, NUMBERS_FILE, Peers
    from service.processes.shared_numbers import SharedNumbers

    folder = Path(orders.folder)
    share_metrics(folder / METRICS_FOLDER, place.row)
    writer_listener = socket.socket(fileno=orders.writer_listener)
    peers = Peers(SharedNumbers.open(folder / NUMBERS_FILE), place.row, folder, writer_listener)
    settings = load_settings(orders.flags)
    listener = socket.socket(fileno=orders.listener)
    run_server(Path(orders.directory), settings, peers, WorkerServer, lambda: listener)


def run_server(
    directory: Path,
    settings: Settings,
    peers: Peers,
    kind: type[Server],
    open_listener: Callable[[], socket.socket],
    join: JoinShards | None = None,
) -> None:
    """Serve the collections on a socket, until a signal.

    `join` decides where shards rank; by default, in this process.
    """
    from retrieval.index.collection.sharded_reader import ShardedReader
    from service.app import create_app
    from service.http.request_limits import Lifecycle
    from service.http.server import end_in_time, make_server
    from service.observability.logs import set_up_logging
    from service.observability.tracing import provider_from_environment

    raise_open_files(2 * settings.limits.connections)
    lifecycle = Lifecycle(peers)
    tracing = provider_from_environment()
    app = create_app(directory, settings, lifecycle, tracing=tracing, join=join or ShardedReader)
    server = make_server(app, lifecycle, settings, kind)
    with closing(open_listener()) as listener:
        set_up_logging(settings.log)
        server.run(sockets=[listener])
    end_in_time(tracing, lifecycle.remaining_s(settings.grace_seconds))


if __name__ == "__main__":
    main()
