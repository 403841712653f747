"""Folders: which files are read, in which order, under which stable names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.readers.options import Origin, ReadOptions
from retrieval.errors import InputError
from retrieval.index.storage.manifest import is_collection

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".ignore", ".attendexignore")
NEVER = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"))
LARGEST_IGNORE_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file to read, or one that should be read and cannot, and why."""

    path: Path
    origin: Origin
    failed: str = field(default="", kw_only=True)
    format: str = field(default="", kw_only=True)  # where the source says it; "" is found out


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns of one folder's ignore files, which hold for everything below it."""

    base: str  # relative path of the folder, "" for the root, else ending in "/"
    spec: GitIgnoreSpec

    def verdict(self, name: str) -> bool | None:
        """True to ignore, False to keep after all, None where no pattern matches."""
        return self.spec.check_file(name.removeprefix(self.base)).include


def walk(root: Path, options: ReadOptions) -> Iterator[FoundFile]:
    """Files below `root`, by relative path.  Symbolic links and special files are never followed or opened.

    Raises InputError at once for a pattern of the caller's that is none.
    """
    return _walk(root, "", (), _Selection(options), options)


def _walk(
    folder: Path, base: str, rules: tuple[Rules, ...], chosen: _Selection, options: ReadOptions
) -> Iterator[FoundFile]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        if options.ignore_files:
            rules += _rules(folder, base)
    except OSError as error:
        yield _unreadable(folder, base, error)
        return
    for entry in ordered:
        path, name = Path(entry.path), base + entry.name
        if entry.name in NEVER or (entry.name.startswith(".") and not options.hidden):
            continue
        try:
            is_folder = _is_wanted_folder(entry, name, rules)
            is_file = entry.is_file(follow_symlinks=False) and not _ignored(name, rules) and chosen.takes(name)
        except OSError as error:
            yield _unreadable(path, name, error)
            continue
        if is_folder:
            yield from _walk(path, f"{name}/", rules, chosen, options)
        elif is_file:
            yield FoundFile(path, Origin(entry.path, options.id_prefix + name))


def _is_wanted_folder(entry: os.DirEntry[str], name: str, rules: tuple[Rules, ...]) -> bool:
    is_folder = entry.is_dir(follow_symlinks=False) and not _ignored(f"{name}/", rules)
    return is_folder and not is_collection(Path(entry.path))


def _unreadable(folder: Path, name: str, error: OSError) -> FoundFile:
    """A folder of which nothing is read: what its ignore files leave out is not known, or what it holds."""
    found = Path(error.filename or folder).name
    what = f"its {found} cannot be read" if found in IGNORE_FILES else "cannot be listed"
    return FoundFile(folder, Origin(str(folder), name), failed=f"{what}: {error.strerror or error}")


class _Selection:
    """The caller's own globs, over relative paths, as ignore files write them."""

    def __init__(self, options: ReadOptions) -> None:
        self._include = _chosen(options.include)
        self._exclude = _chosen(options.exclude)

    def takes(self, name: str) -> bool:
        if self._include is not None and not self._include.match_file(name):
            return False
        return self._exclude is None or not self._exclude.match_file(name)


def _chosen(patterns: Sequence[str]) -> GitIgnoreSpec | None:
    for each in patterns:
        if not _is_pattern(each):
            raise InputError(f"{each!r} is not a pattern; write it as .gitignore does, for instance '*.pdf'")
    return _spec(patterns)


def _spec(lines: Iterable[str]) -> GitIgnoreSpec | None:
    """The patterns that stand in `lines`; git leaves out those that are none, and so do we."""
    from pathspec import GitIgnoreSpec

    patterns = [line for line in lines if _is_pattern(line)]
    return GitIgnoreSpec.from_lines(patterns) if patterns else None


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _rules(folder: Path, base: str) -> tuple[Rules, ...]:
    """Raises OSError for an ignore file that cannot be read."""
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
