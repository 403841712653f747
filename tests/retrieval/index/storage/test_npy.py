"""Arrays pass through `.npy` bytes, and other layouts are refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.storage.checksums import CheckedFile, record_file
from retrieval.index.storage.npy import ArrayHeader, array_in, npy_bytes, read_header


def checked_file(folder: Path, data: bytes) -> CheckedFile:
    (folder / "a.npy").write_bytes(data)
    return CheckedFile(folder, record_file(folder, "a.npy"))


def test_an_array_passes_through_its_bytes(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)
    data = npy_bytes(array)
    assert read_header(BytesIO(data)) == ArrayHeader((2, 3), np.dtype("<u2"), len(data) - 12)
    assert np.array_equal(array_in(checked_file(tmp_path, data)), array)
    assert np.array_equal(np.load(BytesIO(data)), array)


@pytest.mark.parametrize(
    ("array", "message"),
    [(np.asfortranarray(np.ones((2, 3))), "unexpected layout"), (np.array([{}], dtype=object), "unexpected layout")],
)
def test_another_layout_is_refused(array: Any, message: str, tmp_path: Path) -> None:
    buffer = BytesIO()
    np.save(buffer, array)
    with pytest.raises(ValueError, match=message):
        read_header(BytesIO(buffer.getvalue()))
    with pytest.raises(CorruptCollection, match="is not an array"):
        array_in(checked_file(tmp_path, b"not an array"))


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
