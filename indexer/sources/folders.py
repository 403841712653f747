"""Folders: select, order and name their files; find BEIR corpora."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.sources.source import FoundFile, SourceItem
from retrieval.errors import BadDocument, InputError
from retrieval.index.storage.manifest import is_collection

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".ignore", ".attendexignore")
ALWAYS_IGNORED = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"))
MAX_IGNORE_FILE_BYTES = 1 << 20
CLOCK_SECONDS = 0.05  # longer than a step of the clock by which a kernel notes changes
COARSE_CLOCK_SECONDS = 2.5  # of file systems that note whole seconds
BEIR_CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz")


def find_beir_corpus(source: Path) -> Path | None:
    """Return the corpus of a folder in BEIR's layout; None if there is none to read."""
    with contextlib.suppress(OSError):
        for name in BEIR_CORPUS_NAMES:
            if (source / name).is_file():
                return source / name
    return None


class FolderSource:
    """The files below a folder; their versions are times and sizes.

    Raises InputError for an invalid pattern.
    """

    def __init__(self, root: Path, options: ReadOptions) -> None:
        NamePatterns(options)
        self._root = root
        self._options = options

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the source holds nothing open."""

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return "": only the files tell."""
        return ""

    def list(self) -> Iterator[SourceItem]:
        """Yield the files.  Raises BadDocument if the folder is missing."""
        if not self._root.is_dir():
            is_file = self._root.is_file()
            reason = "is a file; name its folder, and the file with include" if is_file else "the folder is missing"
            raise BadDocument(reason)
        for found in walk(self._root, self._options):
            version = "" if found.failed else file_version(found.path)
            yield SourceItem(found.origin.name, version, found.origin.path, found.failed, found)

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:  # noqa: ARG002
        """Return the file itself."""
        found: FoundFile = item.handle
        return found


def file_version(path: Path) -> str:
    """Return what changes when the file is written.

    It is empty if a later write may not change it.  That is so for a moment after a write: for as long as the clock of
    the file system shows one time.
    """
    try:
        found = path.lstat()
    except OSError:
        return ""
    is_coarse = found.st_mtime_ns % 1_000_000_000 == 0
    if abs(time.time() - found.st_mtime) < (COARSE_CLOCK_SECONDS if is_coarse else CLOCK_SECONDS):
        return ""
    return f"{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_size}:{found.st_ino}"


def walk(root: Path, options: ReadOptions) -> Iterator[FoundFile]:
    """Yield the files below `root`, ordered by relative path.

    Never follows or opens symbolic links and special files. Raises InputError at once for an invalid pattern.
    """
    return _walk(root, "", (), NamePatterns(options), options)


@dataclass(frozen=True, slots=True)
class _IgnoreRules:
    """Patterns of an ignore file. They apply to everything below its folder."""

    base: str  # relative path of the folder: "" for the root, else it ends in "/"
    spec: GitIgnoreSpec

    def verdict(self, name: str) -> bool | None:
        """Return True to ignore the file, False to keep it, None if no pattern matches."""
        return self.spec.check_file(name.removeprefix(self.base)).include


class NamePatterns:
    """The globs of the caller for relative paths, in the syntax of ignore files.

    Raises InputError for an invalid one.
    """

    def __init__(self, options: ReadOptions) -> None:
        self._include = _checked_spec(options.include)
        self._exclude = _checked_spec(options.exclude)

    def accepts(self, name: str) -> bool:
        """Check whether the caller wants the file of this name."""
        if self._include is not None and not self._include.match_file(name):
            return False
        return self._exclude is None or not self._exclude.match_file(name)


def _walk(
    folder: Path, base: str, rules: tuple[_IgnoreRules, ...], patterns: NamePatterns, options: ReadOptions
) -> Iterator[FoundFile]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        if options.ignore_files:
            rules += _read_ignore_rules(folder, base)
    except OSError as error:
        yield _unreadable(folder, base, error, options)
        return
    for entry in ordered:
        path, name = Path(entry.path), base + entry.name
        if entry.name in ALWAYS_IGNORED or (entry.name.startswith(".") and not options.hidden):
            continue
        try:
            is_folder = _is_wanted_folder(entry, name, rules)
            is_file = entry.is_file(follow_symlinks=False) and not _is_ignored(name, rules) and patterns.accepts(name)
        except OSError as error:
            yield _unreadable(path, name, error, options)
            continue
        if is_folder:
            yield from _walk(path, f"{name}/", rules, patterns, options)
        elif is_file:
            yield FoundFile(path, DocumentOrigin(entry.path, options.id_prefix + name))


def _is_wanted_folder(entry: os.DirEntry[str], name: str, rules: tuple[_IgnoreRules, ...]) -> bool:
    is_folder = entry.is_dir(follow_symlinks=False) and not _is_ignored(f"{name}/", rules)
    return is_folder and not is_collection(Path(entry.path))


def _unreadable(folder: Path, name: str, error: OSError, options: ReadOptions) -> FoundFile:
    """Return a folder as one failed file, since its files are unknown.

    If the cause is no missing permission, the file system fails, and all files of the source are doubtful.
    """
    found = Path(error.filename or folder).name
    problem = f"its {found} cannot be read" if found in IGNORE_FILES else "cannot be listed"
    origin = DocumentOrigin(str(folder), options.id_prefix + (name if isinstance(error, PermissionError) else ""))
    return FoundFile(folder, origin, failed=f"{problem}: {error.strerror or error}")


def _checked_spec(patterns: Sequence[str]) -> GitIgnoreSpec | None:
    for pattern in patterns:
        if not _is_pattern(pattern):
            raise InputError(f"{pattern!r} is not a pattern; write it as .gitignore does, for instance '*.pdf'")
    return _spec(patterns)


def _spec(lines: Iterable[str]) -> GitIgnoreSpec | None:
    """Return the patterns in `lines`, without invalid ones, as git does."""
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


def _read_ignore_rules(folder: Path, base: str) -> tuple[_IgnoreRules, ...]:
    """Read the ignore files of `folder`. Raises OSError if it cannot read one of them."""
    found = []
    for name in IGNORE_FILES:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            with path.open("r", encoding="utf-8", errors="replace") as file:
                spec = _spec(file.read(MAX_IGNORE_FILE_BYTES).splitlines())
            if spec is not None:
                found.append(_IgnoreRules(base, spec))
    return tuple(found)


def _is_ignored(name: str, rules: tuple[_IgnoreRules, ...]) -> bool:
    """Check whether the last matching pattern of the innermost folder ignores it."""
    for rule in reversed(rules):
        verdict = rule.verdict(name)
        if verdict is not None:
            return verdict
    return False
