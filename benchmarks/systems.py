"""The encoders that benchmarks compare, each as a function from texts to vectors.

One word names a system ("st-f32", "ov-int8").  Each system runs in its own process, so that its peak memory and its
thread pool are its own.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.token_batches import GRAPH_INPUTS, TokenBatch, plan_batches
from retrieval.types import Vectors
from retrieval.util.cores import cores

Encode = Callable[[Sequence[str]], Vectors]

SYSTEMS = {
    "st-f32": "sentence-transformers, float32 (its default)",
    "st-bf16": "sentence-transformers, bfloat16",
    "onnx-f32": "ONNX Runtime, float32",
    "torch-f32": "Attendex, torch float32 (the reference)",
    "torch-bf16": "Attendex, torch bfloat16",
    "ov-f32": "Attendex, OpenVINO float32",
    "ov-bf16": "Attendex, OpenVINO bfloat16 (auto)",
    "ov-int8": "Attendex, OpenVINO int8",
}


def available(int8: Path | None) -> list[str]:
    """Return the names of the systems that this environment can run."""
    onnx = importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx")
    missing = {"onnx-f32": not onnx, "ov-int8": int8 is None}
    return [name for name in SYSTEMS if not missing.get(name)]


def make(name: str, model: str, int8: Path | None) -> Encode:
    """Return the encoding function of a system."""
    kind, precision = name.split("-")
    if kind == "st":
        return _sentence_transformers(model, precision)
    if kind == "onnx":
        return _onnx(model)
    runtime = "torch" if kind == "torch" else "openvino"
    chosen: str | Path = int8 if precision == "int8" and int8 else model
    encoder = load_encoder(chosen, runtime=runtime, precision=precision)
    encoder.warm_up()  # as the service does
    return encoder.encode_passages


def _sentence_transformers(model: str, precision: str) -> Encode:
    import torch
    from sentence_transformers import SentenceTransformer

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    encoder = SentenceTransformer(str(locate(model)), device="cpu", model_kwargs={"dtype": dtype})

    def encode(texts: Sequence[str]) -> Vectors:
        return encoder.encode(list(texts), convert_to_tensor=True).float().numpy()

    return encode


def _onnx(model: str) -> Encode:
    """Run Attendex's exported graph and batches, so that only the runtime differs."""
    import onnxruntime

    from retrieval.encoder.checkpoint.model_folder import open_folder
    from retrieval.encoder.checkpoint.tokenizer import TextTokenizer

    folder = open_folder(locate(model))
    tokenizer = TextTokenizer(folder)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "model.onnx"
        _export_onnx(folder, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def encode(texts: Sequence[str]) -> Vectors:
        return _run_onnx(session, tokenizer.ids(texts), folder.dimension)

    return encode


def _export_onnx(folder: Any, path: Path) -> None:
    import warnings

    import torch

    from retrieval.encoder.checkpoint.weights import load_head, load_transformer
    from retrieval.encoder.model.transformer import EncoderGraph

    example = tuple(map(torch.from_numpy, TokenBatch.of([[1] * 9, [1] * 4, [1] * 3]).rows(9, shared=True).inputs()))
    rows = {0: "rows", 1: "length"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            EncoderGraph(load_transformer(folder), load_head(folder)).eval(),
            example,
            str(path),
            input_names=list(GRAPH_INPUTS),
            dynamic_axes={"ids": rows, "texts": rows, "positions": rows, "spans": {0: "texts"}},
            dynamo=False,
            opset_version=17,
        )


def _run_onnx(session: Any, ids: Sequence[Sequence[int]], dimension: int) -> Vectors:
    out = np.zeros((len(ids), dimension), np.float32)
    for rows in plan_batches([len(one) for one in ids], 8_192):
        batch = TokenBatch.of([ids[row] for row in rows])
        inputs = dict(zip(GRAPH_INPUTS, batch.rows(max(batch.lengths)).inputs(), strict=True))
        out[rows] = session.run(None, {node.name: inputs[node.name] for node in session.get_inputs()})[0]
    return out
