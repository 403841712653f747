"""`attendex info`: show the facts of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.index.storage.manifest import Manifest

RECALL_K = 10  # recall is shown at this number of results


@reports_errors
def info(
    collection: CollectionArgument,
    as_json: JsonOption = False,
) -> None:
    """Show the counts, encoder, fields and sizes of a collection.

    Examples:

      attendex info papers

      attendex info papers --json
    """
    from retrieval.index.storage.sharded_manifest import read_whole_manifest

    facts = describe(collection, read_whole_manifest(collection))
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def describe(collection: Path, manifest: Manifest) -> dict[str, Any]:
    """Return the facts of a generation as JSON."""
    from dataclasses import asdict

    return {
        "name": collection.resolve().name,
        "generation": manifest.generation,
        "created": manifest.created,
        "cause": manifest.cause,
        "documents": manifest.documents,
        "passages": manifest.passages,
        "size_bytes": manifest.size_bytes,
        "encoder": {
            **asdict(manifest.encoder),
            "runtime": manifest.settings.runtime,
            "precision": manifest.settings.precision,
        },
        "chunking": asdict(manifest.settings.chunking),
        "lexical": manifest.settings.lexical and asdict(manifest.settings.lexical),
        "sparse": manifest.settings.sparse and asdict(manifest.settings.sparse),
        "vectors": asdict(manifest.settings.vectors),
        "tokens": _tokens(manifest),
        "unreadable_share": manifest.unreadable_share,
        "background": manifest.background and asdict(manifest.background),
        "schema": {name: str(kind) for name, kind in manifest.schema.items()},
        "expires": manifest.settings.expires,
        "segments": [
            {
                "name": segment.name,
                "documents": segment.live_documents,
                "deleted": segment.documents - segment.live_documents,
                "passages": segment.live_passages,
                "size_bytes": sum(file.size_bytes for file in segment.files),
                "structure": dict(segment.ann_index.facts) if segment.ann_index else None,
            }
            for segment in manifest.segments
        ],
    }


def _tokens(manifest: Manifest) -> dict[str, Any] | None:
    """Return the settings of stored token vectors, and their bytes for each passage."""
    from dataclasses import asdict

    from retrieval.index.vectors.token_store import TOKEN_FILES

    if manifest.settings.tokens is None:
        return None
    files = [file for segment in manifest.segments for file in segment.files if file.name in TOKEN_FILES]
    passages = sum(segment.passages for segment in manifest.segments)
    size_bytes = sum(file.size_bytes for file in files)
    return {
        **asdict(manifest.settings.tokens),
        "size_bytes": size_bytes,
        "bytes_per_passage": round(size_bytes / passages) if passages else 0,
    }


def _show(facts: dict[str, Any]) -> None:
    from rich.filesize import decimal
    from rich.table import Table

    encoder = facts["encoder"]
    rows = {
        "collection": facts["name"],
        "generation": f"{facts['generation']}, {facts['created']:%Y-%m-%d %H:%M:%S} UTC, by {facts['cause']}",
        "documents": f"{facts['documents']:,}",
        "passages": f"{facts['passages']:,}",
        "size": decimal(facts["size_bytes"]),
        "encoder": f"{encoder['name']}, {encoder['dimension']} dimensions, {encoder['max_tokens']} tokens",
        "made with": f"{encoder['runtime']}, {encoder['precision']}; weights {encoder['weights_sha256'][:12]}…",
        "chunking": _settings(facts["chunking"]),
        "fields": ", ".join(f"{name} ({kind})" for name, kind in facts["schema"].items()) or "none",
        **({"expires": f"by {facts['expires']}"} if facts["expires"] else {}),
        "words": _settings(facts["lexical"]) or "none",
        "terms": _sparse(facts["sparse"]),
        "cosines": _background(facts["background"]),
        **_token_row(facts["tokens"]),
        **_window_row(facts["vectors"]),
        "segments": str(len(facts["segments"])),
        "vectors": "; ".join(_vectors(segment) for segment in facts["segments"]) or "none",
    }
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    for row in rows.items():
        table.add_row(*row)
    stdout().print(table)


def _window_row(settings: dict[str, Any]) -> dict[str, str]:
    sentences = settings["window_sentences"]
    return {"windows": f"of about {sentences} sentences, inside each passage"} if sentences else {}


def _token_row(facts: dict[str, Any] | None) -> dict[str, str]:
    if facts is None:
        return {}
    encoder = facts["encoder"]
    size = (
        f"{encoder['dimension']} dimensions, {facts['bits']} bit each, {facts['bytes_per_passage']:,} bytes a passage"
    )
    return {"token vectors": f"{encoder['name']}, {size}"}


def _settings(values: dict[str, Any] | None) -> str:
    shown = {**(values or {})}
    if searched := dict(shown.pop("searched", ())):
        shown["searched fields"] = " and ".join(f"{name} {weight:g}" for name, weight in searched.items())
    return ", ".join(
        f"{name} {f'a list of {len(value)}' if isinstance(value, tuple) else value}" for name, value in shown.items()
    )


def _sparse(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "no sparse index"
    encoder = facts["encoder"]
    return f"{encoder['name']}, {encoder['pooling']}; weights in 8 bits, steps of {facts['scale']:.4f}"


def _background(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "not calibrated; hybrid search fuses plain cosines"
    return f"mean {facts['mean']:.3f}, deviation {facts['deviation']:.3f} between unrelated texts"


def _vectors(segment: dict[str, Any]) -> str:
    """Describe the vector index of a segment and its measured recall, size and speed."""
    facts = segment["structure"]
    if facts is None:
        return f"{segment['passages']:,} searched exactly"
    tuning = facts["tuning"]
    recall = min(tuning["passages"]["recall"], tuning["queries"]["recall"])
    if recall < tuning["target"]:
        return (
            f"{segment['passages']:,} searched exactly, since {facts['factory']} reached a recall@{RECALL_K} of only "
            f"{recall:.3f} (target {tuning['target']})"
        )
    copies = f", {facts['copies']:,} equal to one of them" if facts.get("copies") else ""
    recalls = ", ".join(
        f"{found['recall']:.3f} [{found['low']:.3f}, {found['high']:.3f}] on {found['queries']} {source}"
        for source, found in (("held-out passages", tuning["passages"]), ("made queries", tuning["queries"]))
    )
    fastest = next(row for row in tuning["settings"] if row["k"] == RECALL_K and row["share"] == 1.0)
    return (
        f"{facts['rows']:,} in {facts['factory']}{copies}, recall@{RECALL_K} {recalls} (target {tuning['target']}), "
        f"{facts['size_bytes'] / facts['rows']:.0f} bytes a vector, {fastest['milliseconds']:.2f} ms a query"
    )
