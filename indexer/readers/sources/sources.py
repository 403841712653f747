"""Sources as the caller names them: which are paths, whether they can be read, and what their files' ids begin with."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrieval.errors import BadDocument

STDIN = "-"
URL_BEGINS = ("http://", "https://")


def is_url(source: Path | str) -> bool:
    """Whether `source` is to be fetched."""
    return str(source).lower().startswith(URL_BEGINS)


def is_path(source: Path | str) -> bool:
    """Whether `source` is a file or a folder here."""
    return source != STDIN and not is_url(source)


def check_source(source: Path | str) -> None:
    """Raise BadDocument for a path that is neither a file nor a folder."""
    if not is_path(source):
        return
    try:
        there = Path(source).exists()
        readable = Path(source).is_file() or Path(source).is_dir()
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror or error}", path=printable(str(source))) from error
    if not there:
        raise BadDocument("no such file or folder", path=printable(str(source)))
    if not readable:
        raise BadDocument(
            "is neither a file nor a folder; use - for standard input to read from a pipe", path=printable(str(source))
        )


def printable(name: str) -> str:
    """`name` as it can be shown and kept: bytes that are no UTF-8, as old file names have them, become `\\\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def id_prefixes(sources: Sequence[Path | str]) -> list[str]:
    """What the ids of each source's files begin with, so that no source overwrites another's documents.

    Nothing for a single path.  Several are laid out as `cp -r` would do it: a file under its own name, what is in a
    folder under the folder's name; equal names have as many of the folders around them as tell them apart.
    """
    places = {source: _names(source) for source in sources if is_path(source)}
    if len(set(places.values())) < 2:
        return [""] * len(sources)
    lengths = _telling_lengths(places.values())
    prefixes = {}
    for source, place in places.items():
        tail = place[-lengths[place] :]
        prefixes[source] = "".join(f"{name}/" for name in (tail if Path(source).is_dir() else tail[:-1]))
    return [prefixes.get(source, "") for source in sources]


def _names(source: Path | str) -> tuple[str, ...]:
    """The names on the way from the root; a link's own, not its target's."""
    return Path(os.path.abspath(source)).parts[1:]  # noqa: PTH100


def _telling_lengths(places: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """How many of its last names tell each place from all others."""
    lengths = dict.fromkeys(places, 1)
    while True:
        tails = Counter(place[-length:] for place, length in lengths.items())
        shared = [place for place, length in lengths.items() if tails[place[-length:]] > 1]
        if not shared:
            return lengths
        for place in shared:
            lengths[place] += 1
