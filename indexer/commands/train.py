"""`attendex train`: a new encoder from documents alone, on one machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from retrieval.training.loop import CurvePoint

SHOWN_STEPS = 100  # between two lines of progress


@reports_errors
def train(
    sources: Annotated[list[Path], typer.Argument(help="Documents: files or folders.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the sizes and steps; default: a small encoder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a vocabulary and an encoder, and train it on hidden words and on pairs.

    It is for teaching and for scripts that no published encoder reads; an encoder of `attendex encoders` ranks better
    wherever there is one.  docs/attention.md goes through it.  An interrupted run goes on when the command is given
    again.

    Examples:

      attendex train corpus.jsonl --out encoders/tiny

      attendex train notes/ --config tiny.toml --out encoders/tiny
    """
    from indexer.adapting.train import TrainConfig, read_config, train_encoder

    report = train_encoder(sources, read_config(config) if config else TrainConfig(), out, _show_point)
    if as_json:
        print_json(asdict(report))
        return
    stdout().print(
        f"{report.encoder}: trained on {report.documents:,} documents and {report.pairs:,} pairs in "
        f"{report.seconds / 60:.0f} min; "
        f"mean reciprocal rank of held-out pairs {report.before:.3f} → {report.after:.3f}"
    )


def _show_point(stage: str, point: CurvePoint, steps: int) -> None:
    if point.held_out is None and point.step % SHOWN_STEPS:
        return
    held_out = "" if point.held_out is None else f", held-out {point.held_out:.3f}"
    left = point.seconds / max(1, point.step) * (steps - point.step)
    stderr().print(f"{stage}: step {point.step} of {steps}, loss {point.loss:.3f}{held_out}, {left / 60:.0f} min left")
