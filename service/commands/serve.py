"""`attendex serve`: serve collections over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.errors import NotACollection, SettingsError
from retrieval.util.terminal import reports_errors, stderr

if TYPE_CHECKING:
    from retrieval.index.collection.sharded_reader import JoinShards
    from service.config.settings import Settings

Rerankers = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FOLDER", help="Reranker that searches can name, a preset or a folder; repeatable."),
]
Engine = Annotated[str | None, typer.Option(help="Where shards rank: local, or a ray cluster.", show_default="local")]
RayAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="The Ray cluster.", show_default="RAY_ADDRESS, or a new one")
]
Replicas = Annotated[
    int | None, typer.Option(metavar="N", help="Processes for each shard, with ray.", show_default="1")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of `attendex settings`.", show_default=False),
]


@reports_errors
def serve(
    directory: Annotated[
        Path, typer.Argument(help="A collection, or a folder of collections.", metavar="DIR", show_default=False)
    ],
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default="8080")] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N", help="Processes; auto: one for every two cores.", show_default="1")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys (`attendex keys`).", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen on other addresses without a key.")] = False,
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Under overload, answer hybrid searches from the lexical index alone.")
    ] = False,
    reranker: Rerankers = None,
    follow: Annotated[str | None, typer.Option(metavar="SOURCE", help="Serve a copy of a folder or s3://….")] = None,
    engine: Engine = None,
    ray_address: RayAddress = None,
    replicas: Replicas = None,
    watch: Annotated[bool, typer.Option("--watch", help="Read the sources of the settings, and keep up.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).", show_default=False)] = None,
    assignments: Assignments = None,
) -> None:
    """Serve collections over HTTP until Ctrl-C or SIGTERM.

    Examples:

      attendex serve papers

      attendex serve collections --host 0.0.0.0 --port 9000 --keys keys.json

      attendex serve papers --set limits.k=100 --set log.format=json

      attendex serve collections --config attendex.toml --watch

      attendex serve copies --follow s3://bucket/collections

      attendex serve papers --engine ray --ray-address 10.0.0.5:6379 --replicas 2
    """
    from service.runtime.process import prepare_process

    prepare_process()
    from service.config.settings import load_settings, parse_assignments

    given: dict[str, Any] = {"host": host, "port": port, "processes": processes, "keys": keys, "config": config}
    given |= {"insecure": insecure or None, "degrade": degrade or None, "rerankers": reranker or None}
    given |= {"follow.source": follow, "cluster.engine": engine, "cluster.address": ray_address}
    given |= {"cluster.replicas": replicas}
    flags = parse_assignments(assignments or []) | {name: value for name, value in given.items() if value is not None}
    _serve(directory, load_settings(flags), flags, watch=watch)


def _serve(directory: Path, settings: Settings, flags: Mapping[str, Any], *, watch: bool) -> None:
    """Serve the collections in one process or several; `watch` their sources."""
    if settings.follow.source:
        check_follow(directory, settings, watch=watch)
    check_directory(directory)
    check_exposure(settings)
    with _watched(directory, settings) if watch else nullcontext():
        if settings.cluster.engine == "ray":
            serve_on_cluster(directory, settings)
        elif settings.worker_processes > 1:
            raise typer.Exit(serve_with_workers(directory, settings, flags))
        else:
            serve_alone(directory, settings)


def _watched(directory: Path, settings: Settings) -> AbstractContextManager[object]:
    """Return the process that reads the sources.  Raises SettingsError for wrong ones."""
    from indexer.building.source_sync import check_sources
    from service.commands.sync import collections_of
    from service.runtime.sync_process import SyncProcess

    for sources in collections_of(directory, settings.sources).values():
        check_sources(sources)
    return SyncProcess(directory, settings.sources)


def serve_on_cluster(directory: Path, settings: Settings) -> None:
    """Serve the collections in this process; their shards rank on a Ray cluster.

    Raises SettingsError, ClusterError, MissingExtra.
    """
    from indexer.cluster.connection import connected
    from service.cluster.shard_replicas import ClusterShards

    if settings.worker_processes > 1:
        raise SettingsError("--engine ray serves with one process; run the command on several machines instead")
    cluster = settings.cluster
    with connected(cluster.address) as ray:
        shards = ClusterShards(ray, cluster.replicas, settings.queue.length, settings.limits.seconds)
        serve_alone(directory, settings, shards.join)


def serve_alone(directory: Path, settings: Settings, join: JoinShards | None = None) -> None:
    """Serve the collections in this process, until a signal."""
    from service.commands.worker import run_server
    from service.http.listening import listen, url_of
    from service.http.server import Server
    from service.processes.peers import Peers

    def opened() -> socket:
        listener = listen(settings)
        announce(directory, url_of(listener))
        return listener

    run_server(directory, settings, Peers.alone(), Server, opened, join)


def serve_with_workers(directory: Path, settings: Settings, flags: Mapping[str, Any]) -> int:
    """Serve the collections with several processes; return the exit status."""
    from service.http.listening import listen, url_of
    from service.observability.logs import set_up_logging
    from service.processes.launch import run_workers

    with closing(listen(settings)) as listener:
        set_up_logging(settings.log)
        url = url_of(listener)
        return run_workers(directory, settings, flags, listener, url, lambda: announce(directory, url))


def announce(directory: Path, url: str) -> None:
    """Print where the service listens."""
    stderr().print(f"serving {directory} on {url}")


def check_follow(directory: Path, settings: Settings, *, watch: bool) -> None:
    """Raise SettingsError unless the directory can have the copies of the source."""
    from service.runtime.following import check_following

    if watch:
        raise SettingsError("--watch changes the collections, and --follow copies them; give one of both")
    check_following(directory, settings.follow)


def check_directory(directory: Path) -> None:
    """Raise NotACollection unless the directory exists; an empty one may fill later."""
    if not directory.is_dir():
        raise NotACollection(f"{directory} is not a directory; make it, or run `attendex index SOURCE --into DIR`")


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError if other machines could use the service without a key."""
    from service.http.addresses import is_loopback

    if settings.insecure or settings.has_keys or is_loopback(settings.host):
        return
    raise SettingsError(
        f"host {settings.host} is reachable from other machines, and no key is set. Make a key with `attendex keys add "
        "KEYS_FILE` and give --keys KEYS_FILE, or give --insecure"
    )
