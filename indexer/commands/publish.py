"""`attendex publish`: send a generation to an object store, for read replicas."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def publish(
    collection: CollectionArgument,
    address: Annotated[str, typer.Argument(help="s3://bucket/prefix of the collections.", show_default=False)],
    endpoint: Annotated[str, typer.Option(help="Address of the S3 API.", show_default="AWS")] = "",
    region: Annotated[str, typer.Option(help="Region of the bucket.", show_default="environment")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a later or another generation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send the current generation to an object store; `serve --follow` copies it.

    Only what the store lacks is sent, and the manifest last. Credentials come from the environment
    (AWS_ACCESS_KEY_ID, …).

    Examples:

      attendex publish papers s3://bucket/collections
    """
    from indexer.replicas.opening import open_bucket
    from indexer.replicas.publish import publish as send

    report = send(collection, open_bucket(address, endpoint=endpoint, region=region), replace=replace)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{address}: generation {report.generation}, {report.documents:,} documents; sent {report.sent_files} of "
        f"{report.files} files, {report.sent_bytes:,} bytes; removed {report.removed_objects} old objects"
    )
