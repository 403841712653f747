"""The rules of docs/ARCHITECTURE.md about imports, names and sizes, checked against the source files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from indexer.readers.formats.format_table import FORMATS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("retrieval", "indexer", "service")  # each may import those before it
LAYERS = {  # folders (and single files) of a package, lowest first: each imports its own files and lower layers only
    "retrieval": (
        ("retrieval/util",),
        ("retrieval/index/storage", "retrieval/encoder/model", "retrieval/metrics"),
        ("retrieval/index/metadata", "retrieval/encoder/checkpoint"),
        (
            "retrieval/index/lexical",
            "retrieval/index/vectors",
            "retrieval/encoder/runtime",
            "retrieval/encoder/remote",
            "retrieval/encoder/offline",
        ),
        ("retrieval/index/collection", "retrieval/encoder"),
        ("retrieval/search/explain", "retrieval/training"),
        ("retrieval/search",),
        ("retrieval/search/answers",),
        ("retrieval/search/evaluated",),
        ("retrieval/commands",),
    ),
    "indexer": (
        ("indexer/readers/base", "indexer/readers/text"),
        ("indexer/readers/formats",),
        ("indexer/sources",),
        ("indexer/readers/sandbox",),
        ("indexer/readers",),
        ("indexer/writing",),
        ("indexer/replicas",),
        ("indexer/maintenance",),
        ("indexer/building",),
        ("indexer/evaluation",),
        ("indexer/adapting",),
        ("indexer/cluster",),
        ("indexer/commands",),
    ),
    "service": (
        ("service/client/options.py",),
        ("service/client/answers",),
        ("service/client",),
        ("service/schemas",),
        ("service/config",),
        ("service/adapters", "service/observability"),
        ("service/cluster",),
        ("service/processes",),
        ("service/runtime",),
        ("service/http",),
        ("service/queues",),
        ("service/routes",),
        ("service",),
        ("service/commands",),
        ("service/cli.py",),
        ("service/__main__.py",),
    ),
}
CLIENT = "service/client/"
SEPARATE = ("retrieval/encoder", "retrieval/index", "retrieval/metrics")  # they meet in retrieval/search
BASE = ("retrieval",)  # its files, such as errors.py and types.py, which every folder may import
HOMES = {  # a library, and the only places that may import it
    "faiss": ("retrieval/index/vectors/",),
    "tantivy": (),  # a peer in the benchmarks, not a part of Attendex
    "torch": ("retrieval/encoder/", "retrieval/training/"),
    "transformers": ("retrieval/encoder/",),
    "openvino": ("retrieval/encoder/", "indexer/evaluation/quantize"),
    "nncf": ("retrieval/encoder/", "indexer/evaluation/quantize"),
    "ir_measures": ("retrieval/metrics/",),
    "typer": (
        "retrieval/util/terminal",
        "retrieval/commands/",
        "indexer/commands/",
        "service/commands/",
        "service/cli",
    ),
    "ray": ("indexer/cluster/", "service/cluster/"),
    "msgpack": ("indexer/cluster/",),
    "fastapi": ("service/",),
    "starlette": ("service/",),
    "uvicorn": ("service/",),
}
HEAVY = ("torch", "transformers", "openvino", "faiss", "tantivy", "pyarrow", "ir_measures", "numpy")
UNSAFE = ("pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib")
DISTRIBUTIONS = {
    "faiss": "faiss-cpu",
    "haystack": "haystack-ai",
    "llama_index": "llama-index-core",
    "markdown_it": "markdown-it-py",
    "mcp_types": "mcp",
    "opentelemetry": "opentelemetry-sdk",
    "Stemmer": "pystemmer",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
SHARED_CLASS_NAMES = {"AttendexRetriever", "AttendexVectorStore"}  # as the users of each framework expect


@dataclass(frozen=True)
class Import:
    """One imported module: `path` is "retrieval/index/vectors/exact.py", `module` is "faiss"."""

    path: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def relative(source: Path) -> str:
    return source.relative_to(ROOT).as_posix()


@cache
def trees() -> dict[str, ast.Module]:
    """Parse the sources: when a test needs them, since every process of the tests imports this module."""
    return {relative(source): ast.parse(source.read_text(encoding="utf-8")) for source in sources()}


@cache
def modules() -> dict[str, str]:
    """Return the paths of the modules by their names."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in trees()}


def imports() -> Iterator[Import]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (Import(path, node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = imported_from(path, node)
                for name in {f"{base}.{alias.name}" for alias in node.names}:
                    yield Import(path, node.lineno, name if name in modules() else base)


def imported_from(path: str, node: ast.ImportFrom) -> str:
    """The module that a file imports from: relative inside the client, which is also a distribution of its own."""
    if not path.startswith(CLIENT):
        assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
        return node.module or ""
    own = (node.module or "").startswith("service.client")
    assert not own, f"{path}:{node.lineno}: {node.module} has another name in attendex-client; import it relatively"
    above = path.split("/")[: -node.level] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(imports())


def top(module: str) -> str:
    return module.partition(".")[0]


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def own_imports() -> Iterator[tuple[Import, str]]:
    """Imports between modules of the three packages, with the path of the imported module."""
    for each in all_imports():
        if each.module in modules() and modules()[each.module] != each.path:
            yield each, modules()[each.module]


def cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in edges.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_cycles_are_found() -> None:
    assert cycles({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []}) == [["b", "c"]]


def test_packages_import_downwards_only() -> None:
    wrong = [
        str(each)
        for each in all_imports()
        if top(each.module) in PACKAGES and PACKAGES.index(top(each.module)) > PACKAGES.index(top_folder(each.path))
    ]
    assert wrong == []


def top_folder(path: str) -> str:
    return path.partition("/")[0]


def test_no_modules_import_each_other() -> None:
    edges = defaultdict(set)
    for each, target in own_imports():
        edges[each.path].add(target)
    assert cycles(edges) == []


def part_of(path: str) -> str:
    """The entry of LAYERS that a file belongs to: the file itself, or its folder."""
    entries = {entry for layer in LAYERS[top_folder(path)] for entry in layer}
    part = path if path in entries else folder_of(path)
    assert part in entries or part in (*BASE, *PACKAGES), f"{part} has no place in LAYERS; say where it stands"
    return part


def layer_of(part: str) -> int:
    """The height of a part in its package."""
    return next(height for height, parts in enumerate(LAYERS[top_folder(part)]) if part in parts)


@pytest.mark.parametrize("package", PACKAGES)
def test_sub_packages_import_downwards_only(package: str) -> None:
    wrong = []
    for each, target in own_imports():
        if top_folder(each.path) != package or top_folder(target) != package:
            continue
        importer, imported = part_of(each.path), part_of(target)
        if not {importer, imported} & set(BASE) and importer != imported and layer_of(imported) >= layer_of(importer):
            wrong.append(str(each))
    assert wrong == []


def test_errors_records_and_protocols_import_upwards_nothing() -> None:
    names = (
        "errors",
        "explanations",
        "collapsed",
        "facets",
        "bm25_options",
        "boosts",
        "util",
        "types",
        "results",
        "protocols",
    )
    order = tuple(f"retrieval.{name}" for name in names)
    wrong = []
    records = dict.fromkeys(("errors", "explanations", "collapsed", "facets", "bm25_options"), 0)
    positions = {**records, "boosts": 1, "types": 7, "results": 8, "protocols": 9}
    for name, position in positions.items():
        path, allowed = f"retrieval/{name}.py", order[:position]
        wrong += [
            str(each)
            for each in all_imports()
            if each.path == path and top(each.module) in PACKAGES and not each.module.startswith(allowed)
        ]
    assert wrong == []


def test_encoder_index_and_metrics_do_not_import_each_other() -> None:
    def part(path: str) -> str:
        return next((folder for folder in SEPARATE if path.startswith(f"{folder}/")), "")

    wrong = [
        str(each)
        for each, target in own_imports()
        if part(each.path) and part(target) and part(each.path) != part(target)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library: str) -> None:
    importing = [each for each in all_imports() if top(each.module) == library]
    wrong = [str(each) for each in importing if not each.path.startswith(HOMES[library])]
    assert wrong == []


def test_nothing_unpickles() -> None:
    assert [str(each) for each in all_imports() if top(each.module) in UNSAFE] == []


def test_nothing_shipped_imports_tests_or_benchmarks() -> None:
    assert [str(each) for each in all_imports() if top(each.module) in {"tests", "benchmarks"}] == []


def test_the_client_imports_httpx_and_pydantic_only() -> None:
    allowed = {"httpx", "pydantic", *sys.stdlib_module_names}
    wrong = [
        str(each)
        for each in all_imports()
        if each.path.startswith(CLIENT)
        and top(each.module) not in allowed
        and not f"{each.module}.".startswith("service.client.")
    ]
    assert wrong == []


def test_every_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
    known = {*sys.stdlib_module_names, *PACKAGES}
    wrong = [
        str(each)
        for each in all_imports()
        if top(each.module) not in known
        and DISTRIBUTIONS.get(top(each.module), top(each.module)).replace("_", "-").lower() not in declared
    ]
    assert wrong == []


def test_files_are_short() -> None:
    lengths = {relative(source): source.read_text(encoding="utf-8").count("\n") for source in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_two_classes_have_one_name() -> None:
    homes = defaultdict(list)
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name not in SHARED_CLASS_NAMES:
                homes[node.name].append(f"{path}:{node.lineno}")
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_every_module_has_a_docstring() -> None:
    assert [path for path, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_no_function_changes_module_state() -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    assert wrong == []


@pytest.mark.parametrize("start", ["service.cli", "indexer.readers.sandbox.worker", "service.processes.launch"])
def test_commands_and_parser_processes_start_without_the_heavy_libraries(start: str) -> None:
    program = f"import sys, {start}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_parsers_of_text_do_without_the_heavy_libraries() -> None:
    """A parser process starts for each few hundred files, and again after each hostile one."""
    parsers = [each.parser or each.reader for each in FORMATS.values() if each.name != "parquet"]
    modules = sorted({f"indexer.readers.formats.{name.partition(':')[0]}" for name in parsers})
    program = f"import sys, {', '.join(modules)}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_service_is_imported_without_readers_and_rare_libraries() -> None:
    rare = ("indexer.readers.opening", "rapidfuzz", "scipy", "selectolax", "torch", "transformers")
    program = f"import sys, service.app; print(*[name for name in {rare!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
