"""Check the imports among the modules of the search page."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import service

STATIC = Path(service.__file__).parent / "static"
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']\./([\w-]+\.js)["']""")  # static and dynamic


def imports() -> dict[str, set[str]]:
    """Return the modules that each module imports, at once or on first use."""
    return {path.name: set(IMPORT.findall(path.read_text(encoding="utf-8"))) for path in STATIC.glob("*.js")}


def test_modules_import_each_other_without_cycles() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' ← '.join(error.args[1])}")


def test_every_import_exists_and_every_module_is_imported() -> None:
    graph = imports()
    imported = set().union(*graph.values())
    assert imported <= graph.keys()
    assert graph.keys() - imported == {"app.js"}, "only the entry module of page.html may stay without an import"
