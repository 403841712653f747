"""The distribution `attendex-client`: its wheel, alone in an environment, against a running service."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.service.conftest import Serve, Served

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "service" / "client"
MAX_BYTES = 300_000

PROGRAM = """
import sys
from importlib.util import find_spec

import service  # a folder of the application
from attendex_client import Client, NotFoundError

with Client() as client:
    client.create("own", fields={"year": "number"})
    assert client.upload("own", ({"id": str(n), "text": f"Text {n}", "year": n} for n in range(3))).added == 3
    assert client.patch("own", "1", {"year": 7}).updated == 1
    assert client.search("own", "text", filter="year = 7").hits[0].metadata == {"year": 7}
    assert len(client.passages("own", "text").hits) == 3
    assert client.judge("own", "text", "2", 3)[0].grade == 3
    assert client.tokenize("two words")[0][1].text == "two"
    client.drop("own")
    try:
        client.search("own", "text")
    except NotFoundError as error:
        assert error.problem.code == "collection_not_found"
    else:
        raise AssertionError("the collection is still there")
assert service.OWN
foreign = ("retrieval", "indexer", "service.client", "service.schemas", "fastapi", "numpy", "torch")
assert not [name for name in sys.modules if name.startswith(foreign)]
assert not [name for name in ("retrieval", "indexer", "fastapi", "numpy", "torch") if find_spec(name)]
print("passed")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True)
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel, httpx, pydantic and what these two need."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = sysconfig.get_paths(scheme="venv", vars={"base": str(folder), "platbase": str(folder)})
    for name in needed(["httpx", "pydantic"]):
        link(name, Path(paths["purelib"]))
    python = folder / "bin" / "python"
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *install], check=True)
    return python


def needed(names: list[str]) -> set[str]:
    """These distributions and all that they require, without extras."""
    found: set[str] = set()
    while names:
        name = names.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            lines = importlib.metadata.requires(name) or []
            names += [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if ";" not in line]
    return found


def link(distribution: str, packages: Path) -> None:
    """Let an environment use a distribution of this one."""
    files = importlib.metadata.files(distribution)
    assert files is not None
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        source = Path(str(importlib.metadata.distribution(distribution).locate_file(top)))
        (packages / top).symlink_to(source)


@pytest.fixture
def served(tmp_path: Path, serve: Serve) -> Iterator[Served]:
    root = tmp_path / "collections"
    root.mkdir()
    with serve(root) as served:
        yield served


def run(python: Path, served: Served, program: str, folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "ATTENDEX_URL": served.url}
    command = [python, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_small_and_complete(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = HeaderParser().parsestr(opened.read(next(n for n in names if n.endswith("METADATA"))).decode())
    modules = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")}
    expected = {f"attendex_client/{name}" for name in {*modules, "py.typed", "LICENSE"}}
    assert {name for name in names if ".dist-info/" not in name} == expected
    required = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in metadata.get_all("Requires-Dist")]
    assert required == ["httpx", "pydantic"]
    assert metadata["Version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_it_works_alone_beside_a_folder_named_service(python: Path, served: Served, tmp_path: Path) -> None:
    application = tmp_path / "application"
    (application / "service").mkdir(parents=True)
    (application / "service" / "__init__.py").write_text("OWN = True\n")
    assert run(python, served, PROGRAM, application) == "passed\n"


@pytest.mark.parametrize("page", [ROOT / "docs" / "client.md", SOURCE / "README.md"], ids=lambda page: page.name)
def test_the_examples_run(page: Path, python: Path, served: Served, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    program = "\n".join(blocks).replace('"http://127.0.0.1:8080"', "")
    assert run(python, served, program, tmp_path) != ""
