"""Files that a document includes: found below one folder, and bounded.

A document names files that it includes by paths.  Only regular files inside the folder that is being read are included;
anything else is left out and reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, printable
from indexer.readers.text.charsets import decode
from retrieval.errors import BadDocument

MAX_DEPTH = 8  # files that include files
MAX_FILES = 1_000  # includes of one document
MAX_FILE_BYTES, MAX_BYTES = 1 << 20, 8 << 20  # of one included file, of all of a document
MAX_REPORTED = 20
LINES = re.compile(r"(?P<path>[^:]+?):(?P<first>\d{0,6}):(?P<last>\d{0,6})")
ANCHOR = re.compile(r"(?P<path>[^:#]+)[:#](?P<name>[\w -]{1,80})")
MARK = re.compile(r"-8<-{1,}[ ]*\[(?:start|end):|\bANCHOR(?:_END)?:[ ]*[\w-]+[ ]*$")  # of a section
SNIPPETS_FOLDERS = ("", "includes", "docs")  # below the folder that is read


@dataclass(slots=True)
class Includes:
    """Reads the files that one document includes; reports those that it leaves out."""

    options: ReadOptions
    open: list[Path] = field(default_factory=list)  # included files that are being read
    files: int = 0
    bytes: int = 0
    _reported: int = field(default=0)

    def read(self, target: str, folder: Path | None = None) -> IncludedFile | None:
        """Return an included file; None if it is left out, which is reported."""
        try:
            return self._read(target.strip(), folder or self.folder)
        except BadDocument as error:
            self.leave_out(target.strip(), str(error))
        except (OSError, ValueError):
            self.leave_out(target.strip(), "cannot be read")
        return None

    def leave_out(self, target: str, reason: str) -> None:
        """Report an include that is left out."""
        self._reported += 1
        if self._reported <= MAX_REPORTED:
            name = printable(target)[:200]
            self.options.report_unread(DocumentOrigin(name, name), f"include left out: {reason}")

    @property
    def folder(self) -> Path | None:
        """The folder of the document; None if it is not in a folder that is being read."""
        return Path(self.options.file).parent if self.options.include_folder and self.options.file else None

    def _read(self, target: str, folder: Path | None) -> IncludedFile:
        if folder is None:
            raise BadDocument("the document is not in a folder that is being read")
        if "://" in target or not target:
            raise BadDocument("only files are included")
        self.files += 1
        if len(self.open) >= MAX_DEPTH or self.files > MAX_FILES:
            raise BadDocument("too many or too deep includes")
        path = self._find(target, folder)
        if path in self.open or path == Path(self.options.file).resolve():
            raise BadDocument("includes itself")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        self.bytes += len(data)
        if len(data) > MAX_FILE_BYTES or self.bytes > MAX_BYTES:
            raise BadDocument("too large")
        return IncludedFile(path, decode(data).replace("\r\n", "\n").split("\n"))

    def _find(self, target: str, folder: Path) -> Path:
        """Return the file inside the root that a path names."""
        root = Path(self.options.include_folder).resolve()
        name = target.removeprefix("@").lstrip("/") if target[:1] in "@/" else target
        folders = [] if target[:1] in "@/" else [folder]
        is_outside = False
        for start in (*folders, *(root / each for each in SNIPPETS_FOLDERS)):
            path = (start / name).resolve()
            if not path.is_relative_to(root):
                is_outside = True
            elif path.is_file():
                if not self.options.hidden and any(part.startswith(".") for part in path.relative_to(root).parts):
                    raise BadDocument("is hidden")
                return path
        raise BadDocument("is outside the folder that is being read" if is_outside else "no such file")


@dataclass(frozen=True, slots=True)
class IncludedFile:
    """An included file and its lines."""

    path: Path
    lines: Sequence[str]

    def shown(self) -> list[str]:
        """Return the lines without the marks of sections."""
        return [line for line in self.lines if not MARK.search(line)]

    def part(self, first: str = "", last: str = "") -> Sequence[str]:
        """Return the lines from `first` to `last`, counted from 1; "" for no limit."""
        return self.lines[max(0, int(first or 1) - 1) : int(last) if last else None]

    def section(self, name: str) -> Sequence[str]:
        """Return the lines between the marks of a section, or all lines without marks.

        Marks are `--8<-- [start:name]`, `ANCHOR: name` and `#region name`, each with its end.
        """
        escaped = re.escape(name.strip())
        begin = re.compile(rf"\[start:[ ]*{escaped}[ ]*\]|\bANCHOR:[ ]*{escaped}\b|#[ ]?region[ ]+{escaped}\b")
        end = re.compile(rf"\[end:[ ]*{escaped}[ ]*\]|\bANCHOR_END:[ ]*{escaped}\b|#[ ]?endregion\b")
        starts = [number for number, line in enumerate(self.lines) if begin.search(line)]
        if not starts:
            return self.lines
        ends = (number for number, line in enumerate(self.lines) if number > starts[0] and end.search(line))
        return self.lines[starts[0] + 1 : next(ends, None)]


def included_lines(includes: Includes, target: str, folder: Path | None = None) -> IncludedFile | None:
    """Return the part of a file that `path`, `path:3:9` or `path:name` names."""
    lines, anchor = LINES.fullmatch(target), ANCHOR.fullmatch(target)
    found = includes.read((lines or anchor or {"path": target})["path"], folder)
    if found is None:
        return None
    if lines:
        return IncludedFile(found.path, found.part(lines["first"], lines["last"]))
    if anchor and anchor["name"].strip().isdigit():
        return IncludedFile(found.path, found.part(anchor["name"].strip()))
    return IncludedFile(found.path, found.section(anchor["name"])) if anchor else found
