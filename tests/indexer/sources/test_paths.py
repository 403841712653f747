"""Sources that are neither files nor folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument


def test_a_source_is_a_file_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(BadDocument, match="neither a file nor a folder; use - for standard input"):
        open_documents(tmp_path / "pipe.jsonl")
