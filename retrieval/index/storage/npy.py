"""Arrays as `.npy` files: format version 1.0, C order, no objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from retrieval.index.storage.checksums import CheckedFile

HEADER_BYTES = 4096  # no header of a file of a collection is longer
LENGTH_BYTES = 2  # of the number, after the magic, that tells how many bytes follow


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """The shape, the dtype and the length in bytes of the header of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size_bytes: int


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Read the header at a file's start.  Raises ValueError for another layout."""
    start = file.read(npy.MAGIC_LEN + LENGTH_BYTES)
    return _parse_header(start + file.read(int.from_bytes(start[npy.MAGIC_LEN :], "little")))


@lru_cache(maxsize=1024)  # numpy takes as long to parse a header as to open the file; generations share most headers
def _parse_header(data: bytes) -> ArrayHeader:
    header = BytesIO(data)
    if npy.read_magic(header) != (1, 0):
        raise ValueError("not version 1.0 of the .npy format")
    shape, fortran_order, dtype = npy.read_array_header_1_0(header)
    if fortran_order or dtype.hasobject:
        raise ValueError("unexpected layout")
    return ArrayHeader(shape, dtype, len(data))


def array_in(file: CheckedFile) -> NDArray[Any]:
    """Return the array in a checked file, without a copy.  Raises CorruptCollection."""
    data = memoryview(file.bytes)
    try:
        header = read_header(BytesIO(data[:HEADER_BYTES].tobytes()))
        return np.frombuffer(data[header.size_bytes :], dtype=header.dtype).reshape(header.shape)
    except ValueError as error:
        raise file.damage(f"is not an array ({error})") from error


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Write the header of an array whose elements follow."""
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of an `.npy` file."""
    buffer = BytesIO()
    npy.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
