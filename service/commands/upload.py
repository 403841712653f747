"""`attendex upload`: add files to a collection of a running service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from retrieval.errors import InputError
from retrieval.util.terminal import print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from service.client.answers.jobs import JobAnswer


@reports_errors
def upload(
    url: Annotated[
        str, typer.Argument(help="Address of the collection: http://host:port/COLLECTION.", show_default=False)
    ],
    files: Annotated[list[Path], typer.Argument(help="Files, and folders of files.", show_default=False)],
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Keep the originals; the default is the service's.", show_default=False),
    ] = None,
    set_metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="NAME=VALUE", help="Metadata of all documents; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the jobs as JSON.")] = False,
) -> None:
    """Add files to a collection of a running service, which reads them.

    The name of a file is the id of its document. The service wants its key in ATTENDEX_API_KEY. Exit code 1: a file
    gave no document.

    Examples:

      attendex upload http://127.0.0.1:8080/papers report.pdf notes.zip

      attendex upload http://127.0.0.1:8080/papers manuals/ --keep --metadata project=Apollo
    """
    from service.client import Client

    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]}: no such file or folder")
    address, collection = split_address(url)
    metadata = dict(_assignment(each) for each in set_metadata or ())
    with Client(address) as client:
        jobs = client.upload_files(collection, files, metadata=metadata, keep=keep)
    if json:
        print_json([job.model_dump(mode="json") for job in jobs])
    else:
        _print(jobs)
    if not jobs or any(job.failed or job.status == "failed" for job in jobs):
        raise typer.Exit(1)


def split_address(url: str) -> tuple[str, str]:
    """Return the service and the collection that a URL names.  Raises InputError."""
    base, _, collection = url.rstrip("/").rpartition("/")
    base = base.removesuffix("/v1/collections")
    if not base.startswith(("http://", "https://")) or not base.partition("://")[2] or not collection:
        raise InputError(f"{url!r} names no collection; write http://host:port/COLLECTION")
    return base, collection


def _assignment(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise InputError(f"--metadata {text!r} is no NAME=VALUE; write for instance --metadata project=Apollo")
    return name, value


def _print(jobs: list[JobAnswer]) -> None:
    table = Table("file", "status", "reason")
    bad = [each for job in jobs for each in job.files if each.status != "read" or each.reason]
    for each in bad:
        table.add_row(each.name, each.status, each.reason)
    if bad:
        stderr().print(table)
    for job in jobs:
        if job.status == "failed":
            stderr().print(f"failed: {job.error}")
    added, unchanged = sum(job.added for job in jobs), sum(job.unchanged for job in jobs)
    stdout().print(f"{added:,} documents added, {unchanged:,} unchanged, {sum(job.failed for job in jobs):,} failed")
