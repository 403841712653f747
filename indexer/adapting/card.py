"""The card of an adapted encoder: README.md of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.presets import parse_preset
from retrieval.training.loop import CurvePoint

UNKNOWN_LICENCE = "that of the base encoder"


def training_card(name: str, base: str, record: dict[str, Any], curve: Sequence[CurvePoint]) -> str:
    """Return the card as Markdown: base, licence, data, settings and curve."""
    licence = licence_of(base)
    measured = [point for point in curve if point.held_out is not None]
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        f"license: {licence if licence != UNKNOWN_LICENCE else 'other'}",
        "---",
        "",
        f"# {name}",
        "",
        f"An encoder adapted by `attendex adapt` from {base}; licence: {licence}.",
        "",
        f"Of the weights, {record['share']:.0%} are trained and the rest are those of the base encoder.",
        "",
        "| step | loss | held-out nDCG@10 |",
        "| ---: | ---: | ---: |",
        *(f"| {point.step} | {point.loss:.3f} | {point.held_out:.4f} |" for point in measured),
        "",
        "| data and settings | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for part in ("plan", "settings") for name, value in record[part].items()),
        "",
    ]
    return "\n".join(lines)


def licence_of(base: str) -> str:
    """Return the licence of a preset, or of the card in a folder."""
    preset = parse_preset(base)
    if preset is not None:
        return preset.preset.licence
    card = Path(base) / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace")[:20_000] if card.is_file() else ""
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("license:")]
    return found[0] if found else UNKNOWN_LICENCE
