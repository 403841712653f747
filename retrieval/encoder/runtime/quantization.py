"""Quantise an encoder to int8 with NNCF, and write it as an encoder folder.

Products with weights run in int8.  Attention stays in floating point, which is faster and more exact here
(docs/encoders.md has the numbers).  The folder is a copy of the float encoder's with `int8/` added, so it still runs
in f32.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.encoder.checkpoint.model_folder import INT8_FOLDER, EncoderFolder
from retrieval.encoder.checkpoint.pair_tokenizer import PairTokenizer
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.runtime.conversion import MIXED, SCORES, save_graph
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.errors import EncoderError, InputError, MissingExtra, StorageError
from retrieval.util.temporaries import temporary_folder

if TYPE_CHECKING:
    import openvino as ov

FLOAT_OPERATIONS = [f".*/{SCORES}", f".*/{MIXED}"]


def quantize(folder: EncoderFolder, graph: ov.Model, texts: Sequence[str]) -> ov.Model:
    """Quantise the graph to int8; the activations of `texts` set the ranges."""
    return _quantize(graph, _samples(folder, texts))


def quantize_cross_encoder(folder: EncoderFolder, graph: ov.Model, pairs: Sequence[tuple[str, str]]) -> ov.Model:
    """Quantise the graph of a cross-encoder; pairs of query and text set the ranges."""
    return _quantize(graph, _pair_samples(folder, pairs))


def _quantize(graph: ov.Model, inputs: Iterator[list[Any]]) -> ov.Model:
    try:
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError as error:
        raise MissingExtra("quantize", "attendex quantize") from error
    samples = list(inputs)
    if not samples:
        raise InputError("no text to calibrate with: the documents hold no words; give a source with text")
    logging.getLogger("nncf").setLevel(logging.WARNING)
    with redirect_stdout(sys.stderr):  # nncf prints progress bars; standard output is for the command's answer
        return nncf.quantize(
            graph,
            nncf.Dataset(samples),
            subset_size=len(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(patterns=FLOAT_OPERATIONS),
            # Weights of 7 bits: processors without VNNI add two products in 16 bits, where 8 bits would overflow.
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def _samples(folder: EncoderFolder, texts: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the graph's inputs for each text."""
    for ids in TextTokenizer(folder).ids([folder.passage_prompt + text for text in texts]):
        if ids:
            yield TokenBatch.of([ids]).rows(len(ids)).inputs()


def _pair_samples(folder: EncoderFolder, pairs: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    tokenizer = PairTokenizer(folder)
    for query, text in pairs:
        [pair] = tokenizer.pairs(query, [text])
        yield TokenBatch.of([pair.ids], types=[pair.types]).rows(len(pair.ids)).inputs()


def refuse_existing(out: Path) -> None:
    """Raise EncoderError if `out` is a file or a folder with files."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EncoderError(f"{out} exists already; choose another --out, or remove it first")


def write_quantized(folder: EncoderFolder, graph: ov.Model, out: Path) -> None:
    """Copy `folder` and add the int8 graph; `out` appears complete or not at all."""
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_folder(out, private=False) as temporary:
            shutil.copytree(folder.path, temporary, dirs_exist_ok=True, ignore=files_left_out)
            save_graph(graph, temporary / INT8_FOLDER)
            if out.exists():
                out.rmdir()
            temporary.rename(out)
    except (OSError, StorageError) as error:
        raise EncoderError(f"{out} cannot be written: {error}") from error


def files_left_out(_directory: str, names: list[str]) -> list[str]:
    """Return the files to leave out: other forms of the weights, and code."""
    folders = ("onnx", "openvino", INT8_FOLDER)
    return [name for name in names if name in folders or name.endswith((".bin", ".py", ".pt"))]
