"""The interface of a runtime, and the hardware that this machine offers to one."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.types import Vectors


class Precision(StrEnum):
    """Number format of the matrix products."""

    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


class RuntimeName(StrEnum):
    """Library that computes the vectors."""

    TORCH = "torch"
    OPENVINO = "openvino"
    NUMPY = "numpy"  # of static embeddings


class Runtime(Protocol):
    """Runs batches of tokens.  Safe to call from several threads."""

    name: RuntimeName
    precision: Precision
    budget_tokens: int  # of one batch: number of texts × tokens of the longest
    streams: int  # batches that gain from running at the same time

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:
        """Encode a batch: (B, dimension) float32, in the batch's order.

        `save_cpu` asks for the least processor time, not for the lowest latency.
        """

    def background(self) -> Runtime:
        """Return a runtime for low-priority work: few cores and small batches."""


def has_bf16() -> bool:
    """Check for native bfloat16 products (AVX-512 BF16, AMX or Arm's BF16)."""
    if platform.system() != "Linux":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def may_have_cuda() -> bool:
    """Check, without importing torch, whether this machine may have a CUDA device."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia").exists() or platform.system() == "Windows"
