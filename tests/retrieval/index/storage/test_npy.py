"""Headers of arrays: read back as written, and refused if they are not of our format."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.index.storage.npy import npy_bytes, read_header


@pytest.mark.parametrize(
    "array",
    [np.arange(6, dtype=np.float16).reshape(2, 3), np.empty(0, np.int64), np.zeros(2, [("a", "<i4"), ("b", "<f4")])],
    ids=["matrix", "empty", "fields"],
)
def test_a_header_tells_where_and_what_the_elements_are(array: NDArray[np.generic]) -> None:
    data = npy_bytes(array)
    for _ in range(2):  # the second one is remembered
        file = BytesIO(data)
        header = read_header(file)
        assert (header.shape, header.dtype, header.size_bytes) == (array.shape, array.dtype, file.tell())
        assert data[header.size_bytes :] == array.tobytes()


WHOLE = npy_bytes(np.zeros(3))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[:7],
        WHOLE[:9],
        WHOLE[:40],
        b"\x93NUMPY\x02" + WHOLE[7:],
        b"x" * 200,
        npy_bytes(np.zeros(3)).replace(b"'<f8'", b"'|O8'"),
        npy_bytes(np.zeros(3)).replace(b"False", b"True "),
    ],
)
def test_another_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_header(BytesIO(data))
