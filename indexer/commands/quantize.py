"""`attendex quantize`: convert an encoder to int8 and measure the loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import InputError
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.evaluation.quantize import QuantizationLoss, RerankerLoss


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """The encoder or cross-encoder written, and its loss against float32."""

    encoder: str
    out: str
    calibrated_on: int
    losses: tuple[QuantizationLoss | RerankerLoss, ...]
    seconds: float


@reports_errors
def quantize(
    encoder: Annotated[str, typer.Argument(help="Preset, encoder folder or hub name.", show_default=False)],
    calibrate: Annotated[Path, typer.Option(help="Documents like those to index.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.", show_default=False)],
    texts: Annotated[int, typer.Option(min=10, help="Documents to calibrate with.")] = 300,
    held_out: Annotated[int, typer.Option(min=1, help="Other documents to measure the loss on.")] = 200,
    beir: Annotated[
        list[Path] | None, typer.Option(help="BEIR folder to measure nDCG@10 on; may be repeated.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the BEIR folders.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed of the choice of documents.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Convert an encoder or a cross-encoder to int8 products, and measure the loss.

    You can index and search with the new folder as with any encoder.  A collection of the int8 encoder also takes
    queries of the float encoder.

    Examples:

      attendex quantize all-MiniLM-L6-v2 --calibrate corpus.jsonl --out encoders/minilm-int8

      attendex quantize all-MiniLM-L6-v2 --calibrate data/scifact --beir data/scifact --out minilm-int8

      attendex quantize models/reranker --calibrate corpus.jsonl --out models/reranker-int8
    """
    import time

    from indexer.evaluation.quantize import draw_texts

    started = time.perf_counter()
    drawn = draw_texts(calibrate, texts + held_out, seed)
    if len(drawn) < 2:
        raise InputError(f"{calibrate}: {len(drawn)} documents; give two or more, to calibrate and to measure")
    held_back = min(held_out, len(drawn) // 2)
    losses = _quantize(encoder, drawn[held_back:], drawn[:held_back], out, beir or [], split)
    report = QuantizationReport(encoder, str(out), len(drawn) - held_back, losses, time.perf_counter() - started)
    if as_json:
        print_json(asdict(report))
    else:
        _show(report)


def _quantize(
    encoder: str, calibration: Sequence[str], held_out: Sequence[str], out: Path, beir: Sequence[Path], split: str
) -> tuple[QuantizationLoss | RerankerLoss, ...]:
    from indexer.evaluation.quantize import measure_loss, measure_reranker_loss, quantize_folder, quantize_reranker
    from retrieval.encoder.checkpoint.cross_encoder_folder import is_cross_encoder
    from retrieval.encoder.checkpoint.hub import locate, locate_reranker
    from retrieval.encoder.checkpoint.presets import PresetKind, parse_preset

    preset = parse_preset(encoder)
    is_reranker = preset is not None and preset.preset.kind is PresetKind.RERANKER
    folder = locate_reranker(encoder) if is_reranker else locate(encoder)
    if not is_cross_encoder(folder):
        quantize_folder(encoder, calibration, out)
        return measure_loss(encoder, out, held_out, beir, split)
    if beir:
        raise InputError("--beir measures encoders; evaluate COLLECTION:hybrid,rerank=FOLDER measures a cross-encoder")
    quantize_reranker(folder, calibration, out)
    return (measure_reranker_loss(folder, out, held_out),)


def _show(report: QuantizationReport) -> None:
    console = stdout()
    console.print(
        f"{report.out}: {report.encoder} in int8, calibrated on {report.calibrated_on} documents "
        f"({report.seconds:.0f} s)",
    )
    for loss in report.losses:
        console.print(f"  {loss.summary}")
