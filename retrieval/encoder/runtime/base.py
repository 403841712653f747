"""How an encoder is run: what a runtime must do, and what this machine has to run it on."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from retrieval.encoder.token_batches import TokenBatch
from retrieval.types import Vectors


class Precision(StrEnum):
    """Numbers that the matrix products are made in."""

    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


class RuntimeName(StrEnum):
    """Who makes the matrix products."""

    TORCH = "torch"
    OPENVINO = "openvino"


class Runtime(Protocol):
    """Runs batches of tokens.  Safe to call from several threads."""

    name: RuntimeName
    precision: Precision
    budget_tokens: int  # of one batch: count × longest
    streams: int  # batches that may profitably run at the same time

    def run(self, batch: TokenBatch, *, thrifty: bool = False) -> Vectors:
        """(B, dimension) float32, in the batch's order; `thrifty` rather than soon, where others need the cores too."""
        ...

    def background(self) -> Runtime:
        """A runtime for work that gives way: as few cores as may be, in pieces, beside whoever runs this one."""
        ...


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices natively (AVX-512 BF16, AMX or Arm's BF16)."""
    if platform.system() != "Linux":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def may_have_cuda() -> bool:
    """Whether it is worth importing torch to ask it for a CUDA device."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia").exists() or platform.system() == "Windows"
