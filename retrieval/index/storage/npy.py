"""The header of a `.npy` file as a collection has them: version 1.0, the last axis together, no objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an array is, and where in its file its elements begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size_bytes: int


def read_header(file: IO[bytes]) -> ArrayHeader:
    """The header at the start of a file.  Raises ValueError for one of another kind."""
    if npy.read_magic(file) != (1, 0):
        raise ValueError("not version 1.0 of the .npy format")
    shape, fortran_order, dtype = npy.read_array_header_1_0(file)
    if fortran_order or dtype.hasobject:
        raise ValueError("unexpected layout")
    return ArrayHeader(shape, dtype, file.tell())
