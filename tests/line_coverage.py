"""Measure which lines of Attendex run: `pytest -p tests.line_coverage`, then `coverage combine` and `coverage report`.

Before Python 3.12, a tracer sees each line of each library, which adds a half to the CPU time of these tests.  This
plugin compiles the three packages with a probe before each statement instead, and writes what the probes saw as data
of coverage.py.  Lines that only processes of their own run do not count, as with a tracer.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import takewhile
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("retrieval", "indexer", "service")
PROBES = "__line_probes__"  # in the globals of a module: one item for each line, true once the line has run

probes: dict[str, list[bool]] = {}  # by the path of the file


class ProbeInserter(ast.NodeTransformer):
    """Inserts a probe before each statement; after docstrings and future imports."""

    def __init__(self) -> None:
        self._tried: dict[ast.AST, list[int]] = {}  # by a branch of `match` or `try`: its line, and those before it

    def generic_visit(self, node: ast.AST) -> ast.AST:
        branches = [*getattr(node, "cases", ()), *getattr(node, "handlers", ())]
        lines = [each.pattern.lineno if isinstance(each, ast.match_case) else each.lineno for each in branches]
        self._tried |= {each: lines[: number + 1] for number, each in enumerate(branches)}
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                setattr(node, name, _with_probes(block, self._tried.get(node, [])))
        return node


def _with_probes(block: Sequence[ast.stmt], lines_before: Sequence[int]) -> list[ast.stmt]:
    first = list(takewhile(_must_be_first, block))
    lines = [*lines_before, *(line for each in first for line in _lines(each))]
    made: list[ast.stmt] = [*first, *(_probe(line, block[0]) for line in lines)]
    for node in block[len(first) :]:
        made += [*(_probe(line, node) for line in _lines(node)), node]
    return made


def _must_be_first(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _lines(node: ast.stmt) -> list[int]:
    """Return the lines of a statement that coverage.py counts: its first one, and those of its decorators."""
    return [*(each.lineno for each in getattr(node, "decorator_list", ())), node.lineno]


def _probe(line: int, where: ast.stmt) -> ast.stmt:
    """Make the statement `__line_probes__[line] = True`."""
    target = ast.Subscript(ast.Name(PROBES, ast.Load()), ast.Constant(line), ast.Store())
    return ast.fix_missing_locations(ast.copy_location(ast.Assign([target], ast.Constant(True)), where))


class ProbingLoader(SourceFileLoader):
    """Compiles a module with probes, each time anew."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        probes[path] = [False] * (source.count(b"\n") + 2)
        tree = ProbeInserter().visit(ast.parse(source, path))
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        code = self.get_code(module.__name__)
        vars(module)[PROBES] = probes[self.path]
        exec(code, vars(module))


class ProbingFinder(MetaPathFinder):
    """Finds the modules of the three packages."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec: ModuleSpec | None = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = ProbingLoader(spec.loader.name, spec.loader.path)
        return spec


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Measure from the first import on, that of tests/conftest.py."""
    sys.meta_path.insert(0, ProbingFinder())


def pytest_sessionfinish() -> None:
    """Write the lines that ran in this process."""
    data = coverage.CoverageData(suffix=True)
    data.add_lines({path: [line for line, ran in enumerate(lines) if ran] for path, lines in probes.items()})
    data.touch_files(str(each) for package in PACKAGES for each in (ROOT / package).rglob("*.py"))
    data.write()
