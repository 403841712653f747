"""Describe the machine of a benchmark: processor, cores, versions, matrix peak."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from retrieval.util.cores import cores

PACKAGES = ("torch", "openvino", "nncf", "onnxruntime", "transformers", "sentence-transformers", "tokenizers", "numpy")


def processor() -> str:
    """Return the name of the processor and its matrix instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    instructions = [
        flag
        for flag in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile")
        if flag in named.get("flags", "").split()
    ]
    return f"{named.get('model name', platform.machine())} ({', '.join(instructions)})"


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that encode."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def matrix_peak(seconds: float = 2.0) -> dict[str, float]:
    """Measure the peak GFLOP/s of a large matrix product on all cores.

    torch computes it, in float32 and bfloat16.
    """
    import torch

    torch.set_num_threads(cores())
    peaks = {}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(2048, 1536).to(dtype), torch.randn(1536, 2048).to(dtype)
        best = float("inf")
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            torch.mm(a, b)
            best = min(best, time.perf_counter() - started)
        peaks[name] = 2 * 2048 * 1536 * 2048 / best / 1e9
    return peaks


def describe() -> dict[str, object]:
    """Return the machine, for the JSON of a benchmark."""
    return {"processor": processor(), "cores": cores(), "system": platform.platform(), "versions": versions()}
