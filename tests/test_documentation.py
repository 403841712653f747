"""Compare the pages with the repository: files, links, commands, libraries."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from service.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
PACKAGES = ("retrieval", "indexer", "service")


def prose(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(page))
    broken = [each for each in targets if "://" not in each and not (page.parent / each).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    named = set(re.findall(r"(?:^|[`$/ ])attendex ([a-z]+)\b", "\n".join(code_of(page)), re.MULTILINE))
    assert named - set(get_command(app).commands) == set()


def code_of(page: Path) -> list[str]:
    """Blocks and spans of code."""
    text = prose(page)
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    blocks = [re.sub(r"\s#.*", "", block) for block in blocks]  # comments are prose
    return [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]


def folders_with_code() -> set[str]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.*")]
    return {
        path.parent.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix in {".py", ".js", ".html"} and path.name != "__init__.py"
    }


def rows_of_folders() -> list[tuple[list[str], list[str]]]:
    """The rows of the tables "By directory": the folders of the first cell, and the files that the row names."""
    rows = []
    for line in re.findall(r"^\|.*", prose(ARCHITECTURE), re.MULTILINE):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if folders := re.findall(r"`((?:retrieval|indexer|service)[\w/]*)/`", cells[0]):
            rows.append((folders, re.findall(r"`([\w/]+\.(?:py|js|html))`", line)))
    return rows


def test_the_architecture_describes_each_folder() -> None:
    described = {folder for folders, _ in rows_of_folders() for folder in folders}
    assert described == folders_with_code()


def test_the_architecture_names_files_that_exist() -> None:
    missing = [
        (folders[0], name)
        for folders, names in rows_of_folders()
        for name in names
        if not (ROOT / name).is_file() and not any((ROOT / folder / name).is_file() for folder in folders)
    ]
    assert missing == []
    named = re.findall(r"`((?:retrieval|indexer|service|benchmarks|tests)/[\w/]+\.\w+)`", prose(ARCHITECTURE))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_library_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines}
    said = prose(ARCHITECTURE).split("## Each library, and why it is there")[1]
    assert sorted(name for name in declared if not re.search(rf"\b{re.escape(name)}\b", said)) == []


def test_the_versions_that_make_uses_are_pinned() -> None:
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"{line!r} is not NAME==VERSION"
            assert "+" not in version, f"{line!r} names a local build"
            pinned[re.sub(r"[-_.]+", "-", name).lower()] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", line)[0]).lower() for line in lines}
    assert sorted(names - pinned.keys()) == []
