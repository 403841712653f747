"""The encoder in int8: the converted graph, calibrated by NNCF, as a folder of its own.

Products with weights are made in int8; attention itself stays in floating point, which is both faster and closer here
(docs/encoders.md has the numbers).  The folder is the float encoder's plus `int8/`, so it may still be run in f32.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.encoder.checkpoint.model_folder import INT8_FOLDER, EncoderFolder
from retrieval.encoder.runtime.conversion import MIXED, SCORES, save_graph
from retrieval.encoder.token_batches import TokenBatch
from retrieval.encoder.tokenizer import TextTokenizer
from retrieval.errors import EncoderError, InputError, MissingExtra

if TYPE_CHECKING:
    import openvino as ov

KEPT_IN_FLOAT = [f".*/{SCORES}", f".*/{MIXED}"]


def quantize(folder: EncoderFolder, graph: ov.Model, texts: Sequence[str]) -> ov.Model:
    """The graph of `folder` in int8, its ranges set by what `texts` make of them."""
    try:
        import nncf
    except ImportError as error:
        raise MissingExtra("quantize", "attendex quantize") from error
    samples = list(_samples(folder, texts))
    if not samples:
        raise InputError("no text to calibrate with: the source holds no words")
    logging.getLogger("nncf").setLevel(logging.WARNING)
    with redirect_stdout(sys.stderr):  # its progress bars are not an answer
        return nncf.quantize(
            graph,
            nncf.Dataset(samples),
            subset_size=len(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(patterns=KEPT_IN_FLOAT),
        )


def _samples(folder: EncoderFolder, texts: Sequence[str]) -> Iterator[list[Any]]:
    """Inputs of the graph, a text each."""
    for ids in TextTokenizer(folder).ids([folder.passage_prompt + text for text in texts]):
        if ids:
            yield TokenBatch.of([ids]).rows(len(ids)).inputs()


def refuse_existing(out: Path) -> None:
    """Nothing is overwritten."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EncoderError(f"{out} exists already; choose another --out, or remove it first")


def write_quantized(folder: EncoderFolder, graph: ov.Model, out: Path) -> None:
    """The folder of `folder` with the int8 graph beside its weights, made whole or not at all."""
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        shutil.copytree(folder.path, temporary, dirs_exist_ok=True, ignore=_not_ours)
        save_graph(graph, temporary / INT8_FOLDER)
        temporary.chmod(0o755)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        raise EncoderError(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _not_ours(directory: str, names: list[str]) -> list[str]:
    """Other forms of the weights, which the copy would not be true to, and what never ran here."""
    del directory
    return [
        name for name in names if name in ("onnx", "openvino", INT8_FOLDER) or name.endswith((".bin", ".py", ".pt"))
    ]
