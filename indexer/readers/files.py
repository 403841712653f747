"""Folders: which files are read, in which order, under which stable names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.readers.options import Origin, ReadOptions
from retrieval.index.manifest import is_collection

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".ignore", ".attendexignore")
NEVER = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"))
LARGEST_IGNORE_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file to read, or one that is left out and why."""

    path: Path
    origin: Origin
    skipped: str = ""
    failed: str = ""
    format: str = ""  # where the source says it; "" is found out


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns of one folder's ignore files, which hold for everything below it."""

    base: str  # relative path of the folder, "" for the root, else ending in "/"
    spec: GitIgnoreSpec

    def verdict(self, name: str) -> bool | None:
        """True to ignore, False to keep after all, None where no pattern matches."""
        return self.spec.check_file(name.removeprefix(self.base)).include


def walk(root: Path, options: ReadOptions) -> Iterator[FoundFile]:
    """Files below `root`, by relative path.  Symbolic links and special files are never followed or opened."""
    yield from _walk(root, "", (), _Selection(options), options)


def _walk(
    folder: Path, base: str, rules: tuple[Rules, ...], chosen: _Selection, options: ReadOptions
) -> Iterator[FoundFile]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield FoundFile(folder, Origin(str(folder), base), f"cannot be listed: {error.strerror}")
        return
    if options.ignore_files:
        rules += _rules(folder, base)
    for entry in ordered:
        name = base + entry.name
        if entry.is_symlink() or entry.name in NEVER or (entry.name.startswith(".") and not options.hidden):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not _ignored(f"{name}/", rules) and not is_collection(Path(entry.path)):
                yield from _walk(Path(entry.path), f"{name}/", rules, chosen, options)
        elif entry.is_file(follow_symlinks=False) and not _ignored(name, rules) and chosen.takes(name):
            yield FoundFile(Path(entry.path), Origin(entry.path, options.id_prefix + name))


class _Selection:
    """The caller's own globs, over relative paths, as ignore files write them."""

    def __init__(self, options: ReadOptions) -> None:
        self._include = _spec(options.include)
        self._exclude = _spec(options.exclude)

    def takes(self, name: str) -> bool:
        if self._include is not None and not self._include.match_file(name):
            return False
        return self._exclude is None or not self._exclude.match_file(name)


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns) if patterns else None


def _rules(folder: Path, base: str) -> tuple[Rules, ...]:
    found = []
    for name in IGNORE_FILES:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            with path.open("r", encoding="utf-8", errors="replace") as file:
                spec = _spec(file.read(LARGEST_IGNORE_FILE_BYTES).splitlines())
            if spec is not None:
                found.append(Rules(base, spec))
    return tuple(found)


def _ignored(name: str, rules: tuple[Rules, ...]) -> bool:
    """The innermost folder's last matching pattern decides."""
    for each in reversed(rules):
        verdict = each.verdict(name)
        if verdict is not None:
            return verdict
    return False
