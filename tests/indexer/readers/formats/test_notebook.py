"""Jupyter notebooks: Markdown cells, code, and output."""

from __future__ import annotations

import json
from pathlib import Path

from tests.indexer.readers.reading import read_one


def test_notebook(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "of things"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"]}}, {"text": "printed"}]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells, "metadata": {}}))
    document = read_one(tmp_path / "n.ipynb")
    assert (document.title, document.text) == ("Study", "Study\n\nof things\n\n1 + 1\n\n2\n\nprinted")


def test_notebook_language_and_errors(tmp_path: Path) -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["\x1b[0;31mValueError"]}
    cells = [
        {"cell_type": "markdown", "source": "Some short text"},
        {"cell_type": "code", "source": "import numpy as np; a = e = o = 1; as_e = a, e, o, a, e", "outputs": [error]},
        {"cell_type": "code", "source": "x", "outputs": [{"data": None}, None]},
    ]
    about = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells, "metadata": about}))
    document = read_one(tmp_path / "n.ipynb")
    assert "ValueError: bad" in document.text
    assert document.metadata["programming_language"] == "python"
    assert "language" not in document.metadata, "code is no prose"
