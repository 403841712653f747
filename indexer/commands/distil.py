"""`attendex distil`: a smaller encoder that gives its teacher's vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument, Seed
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from retrieval.training.loop import CurvePoint

SHOWN_STEPS = 50  # between two lines of progress


@reports_errors
def distil(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.", show_default=False)],
    base: Annotated[str, typer.Option(help="Teacher: preset or folder; default: the collection's encoder.")] = "",
    layers: Annotated[int, typer.Option(min=0, help="Layers of the student, picked at equal distances; 0: all.")] = 0,
    dimension: Annotated[int, typer.Option(min=0, help="Numbers of a vector; 0: as many as the teacher's.")] = 0,
    vocabulary: Annotated[
        int, typer.Option(min=0, help="Tokens kept: the most frequent of the collection; 0: all.")
    ] = 0,
    texts: Annotated[int, typer.Option(min=256, max=10_000_000, help="Texts to learn from, at most.")] = 20_000,
    epochs: Annotated[float, typer.Option(min=0.01, max=100, help="Passes.")] = 2.0,
    batch: Annotated[int, typer.Option(min=2, max=8_192, help="Texts of a step.")] = 32,
    rate: Annotated[float, typer.Option(min=1e-7, max=1e-2, help="Learning rate.")] = 2e-4,
    budget: Annotated[float, typer.Option(min=0.1, help="Minutes of training at most.")] = 60.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; default: the cores.")] = None,
    seed: Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a smaller, faster encoder from a collection's texts, without judgments.

    The student has some layers of its teacher, fewer tokens or shorter vectors.  It learns to give the teacher's
    vectors for titles, sentences and passages.  `attendex reembed --qrels` compares both before the switch.
    An interrupted run goes on when the command is given again.

    Examples:

      attendex distil papers --out encoders/small --layers 3

      attendex distil papers --base english --out encoders/english-l6 --layers 6

      attendex distil gesetze --base multilingual --out encoders/german --vocabulary 30000 --dimension 256
    """
    from indexer.adapting.distil import DistilSettings
    from indexer.adapting.distil import distil as make_student

    settings = DistilSettings(layers, dimension, vocabulary, texts, epochs, batch, rate, budget * 60, seed, threads)
    report = make_student(collection, out, settings, base=base, watch=_show_point)
    if as_json:
        print_json(asdict(report))
        return
    stdout().print(
        f"{report.encoder}: {report.layers} layers, {report.vocabulary:,} tokens, vectors of {report.dimension} "
        f"numbers, {report.weights / 1e6:.1f} of {report.teacher_weights / 1e6:.1f} million weights; mean cosine with "
        f"{report.teacher} {report.before:.3f} → {report.after:.3f}, {report.seconds / 60:.0f} min"
    )


def _show_point(point: CurvePoint, steps: int) -> None:
    if point.held_out is None and point.step % SHOWN_STEPS:
        return
    held_out = "" if point.held_out is None else f", held-out cosine {point.held_out:.4f}"
    left = point.seconds / max(1, point.step) * (steps - point.step)
    stderr().print(f"step {point.step} of {steps}: loss {point.loss:.4f}{held_out}, {left / 60:.0f} min left")
