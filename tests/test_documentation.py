"""What the pages say is there: files, links, commands, libraries."""

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
FILE_BY_FILE = ("retrieval", "retrieval/encoder", "retrieval/index", "retrieval/search", "indexer", "service")


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


def test_the_architecture_names_each_file_and_no_other() -> None:
    missing, named, section = [], set(), ROOT
    for line in prose(ARCHITECTURE).splitlines():
        if heading := re.match(r"#+ `?(retrieval|indexer|service)/", line):
            section = ROOT / heading[1]
        elif line.startswith("#"):
            section = ROOT
        folder = section
        for name in re.findall(r"`([\w*/]+(?:\.(?:py|js|html)|/))`", line):
            places = [ROOT, section, folder, ROOT / "service" / "static", ROOT / "retrieval"]
            found = next((place for place in places if any(place.glob(name.rstrip("/")))), None)
            if found is None:
                missing.append(name)
                continue
            named.update(found.glob(name.rstrip("/")))
            if "/" in name.rstrip("/"):
                folder = (found / name).parent  # the names after it in the same line are beside it
    assert missing == []
    files = {path for folder in FILE_BY_FILE for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"}
    assert sorted(path.relative_to(ROOT).as_posix() for path in files - named) == []


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
