"""How an encoder is run: what a runtime must do, and which one is taken where."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from retrieval.encoder.batching import TokenBatch
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

    def run(self, batch: TokenBatch) -> Vectors:
        """(B, dimension) float32, in the batch's order."""
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
