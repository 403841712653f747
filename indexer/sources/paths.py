"""Check the sources of the caller, and derive the prefixes of their ids."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from indexer.readers.base.outcomes import printable
from retrieval.errors import BadDocument, InputError

STDIN = "-"
URL_PREFIXES = ("http://", "https://")


def is_url(source: Path | str) -> bool:
    return str(source).lower().startswith(URL_PREFIXES)


def is_path(source: Path | str) -> bool:
    return source != STDIN and not is_url(source)


def check_source(source: Path | str) -> None:
    """Raise BadDocument for a path that is neither a file nor a folder."""
    if not is_path(source):
        return
    shown = printable(str(source))
    try:
        exists = Path(source).exists()
        readable = Path(source).is_file() or Path(source).is_dir()
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}", path=shown) from error
    if not exists and "://" in shown:
        raise BadDocument("is an address; read it with `attendex sync DIR --source ADDRESS`", path=shown)
    if not exists:
        raise BadDocument("no such file or folder", path=shown)
    if not readable:
        raise BadDocument("is neither a file nor a folder; use - for standard input to read from a pipe", path=shown)


def id_prefixes(sources: Sequence[Path | str], root: str = "") -> list[str]:
    """Return the id prefix of each source, so that the ids of sources differ.

    With a `root`, the ids are those that the files have if that folder is read; InputError for a source outside of it.
    A single path has no prefix. Several paths get the prefixes of `cp -r`: a file has its own name, and the files of
    a folder have the folder's name before theirs. Paths with equal names also get the names of the parent folders
    that tell them apart.
    """
    if root:
        return [_prefix_below(source, root) for source in sources]
    parts = {source: _path_parts(source) for source in sources if is_path(source)}
    if len(set(parts.values())) < 2:
        return [""] * len(sources)
    lengths = _unique_lengths(parts.values())
    prefixes = {}
    for source, names in parts.items():
        tail = names[-lengths[names] :]
        prefixes[source] = "".join(f"{name}/" for name in (tail if Path(source).is_dir() else tail[:-1]))
    return [prefixes.get(source, "") for source in sources]


def _prefix_below(source: Path | str, root: str) -> str:
    """Return the path from `root` to the folder that holds the files of a source."""
    names, above = _path_parts(source) if is_path(source) else (), _path_parts(root)
    if names[: len(above)] != above or not names:
        raise InputError(f"{printable(str(source))}: is not below the root {printable(root)}; name a folder above it")
    below = names[len(above) :]
    return "".join(f"{name}/" for name in (below if Path(source).is_dir() else below[:-1]))


def _path_parts(source: Path | str) -> tuple[str, ...]:
    """Return the names from the root to `source`, without following links."""
    return Path(os.path.abspath(source)).parts[1:]  # noqa: PTH100


def _unique_lengths(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """Return for each path how many of its last names tell it from all other paths."""
    lengths = dict.fromkeys(paths, 1)
    while True:
        tails = Counter(path[-length:] for path, length in lengths.items())
        shared = [path for path, length in lengths.items() if tails[path[-length:]] > 1]
        if not shared:
            return lengths
        for path in shared:
            lengths[path] += 1
