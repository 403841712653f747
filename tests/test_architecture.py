"""The rules of docs/ARCHITECTURE.md that can be read off the imports, held by reading the imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("retrieval", "indexer", "service")  # each may import those before it
LAYERS = (
    ("errors",),
    ("util",),
    ("types",),
    ("protocols",),
    ("encoder", "index", "metrics"),
    ("search",),
    ("commands",),
)
HOMES = {  # a library, and the only places that may import it
    "faiss": ("retrieval/index/vectors/",),
    "tantivy": (),  # a peer to measure against, not a part
    "torch": ("retrieval/encoder/", "retrieval/search/rerank"),
    "transformers": ("retrieval/encoder/", "retrieval/search/rerank"),
    "openvino": ("retrieval/encoder/", "retrieval/search/rerank", "indexer/evaluation/quantize"),
    "nncf": ("retrieval/encoder/", "retrieval/search/rerank", "indexer/evaluation/quantize"),
    "ir_measures": ("retrieval/metrics/",),
    "typer": (
        "retrieval/util/terminal",
        "retrieval/commands/",
        "indexer/commands/",
        "service/commands/",
        "service/cli",
    ),
    "fastapi": ("service/",),
    "starlette": ("service/",),
    "uvicorn": ("service/",),
}
HEAVY = ("torch", "transformers", "openvino", "faiss", "tantivy", "pyarrow", "ir_measures")
UNSAFE = ("pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib")
DISTRIBUTIONS = {
    "faiss": "faiss-cpu",
    "haystack": "haystack-ai",
    "httpcore": "httpx",  # its own lower half
    "llama_index": "llama-index-core",
    "markdown_it": "markdown-it-py",
    "opentelemetry": "opentelemetry-sdk",
    "Stemmer": "pystemmer",
    "yaml": "pyyaml",
    "starlette": "fastapi",
    "dateutil": "python-dateutil",
}
MOST_LINES = 500


@dataclass(frozen=True)
class Import:
    """One imported module: `path` says "retrieval/index/vectors/store.py", `module` says "faiss"."""

    path: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def imports() -> Iterator[Import]:
    for source in sources():
        path = source.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (Import(path, node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
                base = node.module or ""
                if base in PACKAGES:  # `from retrieval import errors` names the module only in the alias
                    yield from (Import(path, node.lineno, f"{base}.{alias.name}") for alias in node.names)
                else:
                    yield Import(path, node.lineno, base)


ALL = tuple(imports())


def top(module: str) -> str:
    return module.partition(".")[0]


def layer(module: str) -> int:
    """Height of a module of `retrieval` among its layers, from 0."""
    part = module.split(".")[1]
    return next(height for height, names in enumerate(LAYERS) if part in names)


def ours_inside_retrieval() -> Iterator[tuple[Import, str]]:
    """Imports from one part of retrieval to another, with the importing module's dotted name."""
    for each in ALL:
        if each.path.startswith("retrieval/") and top(each.module) == "retrieval":
            importer = each.path.removesuffix(".py").replace("/", ".")
            if importer != "retrieval.__init__" and "." in each.module:
                yield each, importer


def test_packages_import_downwards_only() -> None:
    wrong = [
        str(each)
        for each in ALL
        if top(each.module) in PACKAGES and PACKAGES.index(top(each.module)) > PACKAGES.index(each.path.split("/")[0])
    ]
    assert wrong == []


def test_parts_of_retrieval_import_downwards_only() -> None:
    wrong = [str(each) for each, importer in ours_inside_retrieval() if layer(each.module) > layer(importer)]
    assert wrong == []


def test_encoder_index_and_metrics_do_not_know_each_other() -> None:
    wrong = [
        str(each)
        for each, importer in ours_inside_retrieval()
        if layer(each.module) == layer(importer) and each.module.split(".")[1] != importer.split(".")[1]
    ]
    assert wrong == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library: str) -> None:
    wrong = [str(each) for each in ALL if top(each.module) == library and not each.path.startswith(HOMES[library])]
    assert wrong == []


def test_nothing_unpickles() -> None:
    assert [str(each) for each in ALL if top(each.module) in UNSAFE] == []


def test_nothing_shipped_imports_tests_or_benchmarks() -> None:
    assert [str(each) for each in ALL if top(each.module) in {"tests", "benchmarks"}] == []


def test_the_client_imports_httpx_and_the_schemas_only() -> None:
    allowed = {"httpx", *sys.stdlib_module_names}
    wrong = [
        str(each)
        for each in ALL
        if each.path.startswith("service/client/")
        and top(each.module) not in allowed
        and not each.module.startswith(("service.schemas", "service.client"))
    ]
    assert wrong == []


def test_every_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
    known = {*sys.stdlib_module_names, *PACKAGES}
    wrong = [
        str(each)
        for each in ALL
        if top(each.module) not in known
        and DISTRIBUTIONS.get(top(each.module), top(each.module)).replace("_", "-").lower() not in declared
    ]
    assert wrong == []


def test_files_are_short() -> None:
    lengths = {source.relative_to(ROOT).as_posix(): source.read_text().count("\n") for source in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        source.relative_to(ROOT).as_posix()
        for source in sources()
        if not ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_function_changes_module_state() -> None:
    wrong = [
        f"{source.relative_to(ROOT)}:{node.lineno}"
        for source in sources()
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Global)
    ]
    assert wrong == []


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    program = f"import sys, service.cli; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
