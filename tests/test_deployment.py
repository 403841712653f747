"""The container image, the Compose file and `make install`, as far as they can be checked without Docker."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


@pytest.mark.parametrize("name", ["Dockerfile", "Makefile"])
def test_the_installation_has_all_parsers(name: str) -> None:
    """Else the PDF files of a folder are not read."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    installed = [line for line in lines if "pip install" in line and re.search(r"(--editable |txt )'?\.", line)]
    assert installed
    assert all("'.[documents" in line for line in installed)


def test_the_image_gets_every_file_that_it_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(" ".join(copied).split())


def test_only_the_service_needs_a_key(services: dict[str, Any]) -> None:
    """Compose evaluates `${NAME:?message}` of all services, also for `docker compose run index`."""
    assert "${" not in COMPOSE.read_text(encoding="utf-8")
    assert services["service"]["environment"] == ["ATTENDEX_API_KEY"]
    assert "environment" not in services["index"]


def test_the_service_starts_when_indexing_finds_nothing(services: dict[str, Any]) -> None:
    assert services["service"]["depends_on"] == ["index"]  # started, not completed


def test_both_services_share_the_collections(services: dict[str, Any]) -> None:
    directory = services["service"]["command"].split()[1]
    assert services["index"]["command"].split("--into ")[1].startswith(f"{directory}/")
    assert all(f"data:{directory}" in services[name]["volumes"] for name in ("index", "service"))
