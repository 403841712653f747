"""Arrays pass through `.npy` bytes, and other layouts are refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
