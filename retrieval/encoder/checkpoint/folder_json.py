"""Read the JSON files of model folders, and their lists of modules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import EncoderError, UnsupportedCheckpoint

PYLATE_DENSE = "pylate.models.Dense.Dense"  # has the format of the Dense of sentence-transformers


@contextmanager
def checked_folder(path: Path) -> Iterator[None]:
    """Read a model folder in this block; its errors are those of a bad folder.

    Raises EncoderError if there is no such folder, UnsupportedCheckpoint for a value of the wrong type.
    """
    if not path.is_dir():
        raise EncoderError(f"{path}: no such encoder folder; check the path")
    try:
        yield
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise UnsupportedCheckpoint(
            f"{path}: a value in its JSON files has the wrong type ({error}); fetch the folder again"
        ) from error


def read_json(path: Path, *, required: bool = False) -> dict[str, Any]:
    """Read the object in a JSON file; {} for a missing file that is not required."""
    value = _parse_json(path, missing=None if required else {})
    if value is None and not path.exists():
        raise UnsupportedCheckpoint(f"{path} is missing; fetch the folder again")
    if not isinstance(value, dict):
        raise UnsupportedCheckpoint(f"{path}: has a {type(value).__name__}, not a JSON object; fetch the folder again")
    return value


@dataclass(frozen=True, slots=True)
class Module:
    """A part that modules.json lists, and its folder, relative to that file."""

    kind: str
    folder: str


def list_modules(path: Path) -> list[Module]:
    """Return the parts in modules.json but Dropout.  Raises UnsupportedCheckpoint."""
    file = path / "modules.json"
    listed = _parse_json(file, missing=None)
    if not isinstance(listed, list) or not listed or not all(isinstance(module, dict) for module in listed):
        raise UnsupportedCheckpoint(f"{file}: not a list of modules; fetch the folder again")
    modules = [Module(module_kind(file, each.get("type", "")), str(each.get("path", ""))) for each in listed]
    for module in modules:
        check_inside(file, module.folder)
    return [module for module in modules if module.kind != "Dropout"]


def module_kind(file: Path, type_name: object) -> str:
    """Return "Pooling" for "sentence_transformers.….Pooling"; refuse other code."""
    if type_name != PYLATE_DENSE and not str(type_name).startswith("sentence_transformers."):
        raise UnsupportedCheckpoint(
            f"{file}: the module type {type_name!r} is code of its own, which Attendex never runs; "
            "use a folder with modules of sentence-transformers only"
        )
    return str(type_name).rpartition(".")[2]


def check_inside(file: Path, folder: str) -> None:
    """Refuse a folder, named in `file`, outside the folder of that file."""
    if not (file.parent / folder).resolve().is_relative_to(file.parent.resolve()):
        raise UnsupportedCheckpoint(f"{file}: the path {folder!r} leads out of the folder; fetch the folder again")


def _parse_json(path: Path, missing: Any) -> Any:
    """Read a JSON file; return `missing` if the file does not exist."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return missing
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedCheckpoint(f"{path}: not readable as JSON ({error}); fetch the folder again") from error
