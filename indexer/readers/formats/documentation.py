"""Markdown of documentation tools: admonitions, tabs, directives, includes.

The tools are MkDocs, Docusaurus (MDX), Sphinx (MyST), mdBook, VitePress, GitBook, Hugo and GitHub.  One pass over the
lines removes what only a tool reads, and keeps the titles and texts for readers.  Code blocks stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.readers.formats.documentation_inline import plain_inline, shown_attributes
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.includes import IncludedFile, Includes, included_lines
from indexer.readers.formats.rst_includes import chosen_lines

FENCE = re.compile(r"^(?P<indent>[ ]*)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[A-Za-z][\w:+.-]{0,60})\}[ ]*(?P<argument>.*)$")
INDENTED = re.compile(
    r"^(?P<indent>[ ]*)(?:!!!|\?\?\?\+?)[ ]*(?P<kind>[A-Za-z][\w-]{0,40}(?:[ ][\w-]{1,40}){0,5})?[ ]*"
    r"(?:\"(?P<title>[^\"]*)\")?[ ]*$"
)
TAB = re.compile(r"^(?P<indent>[ ]*)===[!+]?[ ]+(?P<quote>[\"'])(?P<title>.*)(?P=quote)[ ]*$")
COLONS = re.compile(r"^[ ]*(?P<marks>:{3,})[ ]*(?P<rest>.*?)[ ]*:*$")
ALERT = re.compile(r"^(?P<quote>[ ]*(?:>[ ]?)++)\[!(?P<kind>[A-Za-z][\w-]{0,40})\][+-]?[ ]*(?P<title>.*)$")
OPTION = re.compile(r"^[ ]*:(?P<name>[\w-]{1,40}):(?:[ ]+(?P<value>.*))?$")
SNIPPET = re.compile(r"^[ ]*-{1,}8<-{1,}[ ]*+(?:(?P<quote>[\"'])(?P<path>[^\"']{1,300})(?P=quote))?[ ]*$")
INCLUDE = re.compile(
    r"^[ ]*(?:"
    r"\{\{[ ]*#(?:include|rustdoc_include|playground)[ ]+(?P<book>[^{}]{1,300}?)[ ]*\}\}"
    r"|\{![ ]*(?P<bang>[^{}]{1,300}?)[ ]*!\}"
    r"|\{%-?[ ]*include(?:-markdown)?[ ]+[\"'](?P<liquid>[^\"']{1,300})[\"'][^{}]{0,300}%\}"
    r"|<!--[ ]*@include:[ ]*(?P<press>[^<>]{1,300}?)[ ]*-->"
    r"|<<<[ ]+(?P<code>[^\s{]{1,300})(?:[ ]*\{[^{}]{0,100}\})?(?:[ ]*\[[^\]]{0,100}\])?"
    r")[ ]*$"
)
IMPORT = re.compile(r"^import\s+(?:[\w*{][^'\"\n]{0,500}?\sfrom\s+)?['\"][^'\"\n]{1,300}['\"];?[ ]*$")
OPEN_IMPORT, END_IMPORT = re.compile(r"^import\s+[\w,\s]{0,80}\{[^}]*$"), re.compile(r"from\s+['\"]")
EXPORT = re.compile(r"^export\s+(?:default|const|let|var|function|class|async|type|interface|\{|\*)")
ITEM = re.compile(r"^[ ]*(?:[-*+]|\d{1,9}[.)])[ ]")
LABEL = re.compile(r"\[([^\]\n]{1,200})\]")
NAMED = re.compile(r"[A-Za-z][\w-]*")
RUST_HIDDEN = re.compile(r"^(\s*)#(?:[ ]|$)")
CODE = frozenset(
    "code code-block code-cell sourcecode math parsed-literal doctest testcode prompt console eval-rst mermaid".split()  # noqa: SIM905
)
DROPPED = frozenset(
    "toctree contents image index raw tableofcontents bibliography glossary-list autosummary meta only-js".split()  # noqa: SIM905
)
GROUPS = frozenset("code-group tabs tab-set grid container div group steps columns details-group raw v-pre".split())  # noqa: SIM905
ADMONITIONS = frozenset(
    """
    note tip warning danger info caution important hint error attention seealso todo question quote example success
    failure bug abstract summary deprecated
    """.split()  # noqa: SIM905
)


def plain_markdown(text: str, includes: Includes) -> str:
    """Return a documentation page as Markdown without the marks of tools."""
    lines = text.split("\n")
    is_mdx = includes.options.file.endswith(".mdx") or any(map(IMPORT.match, lines[:200]))
    return _Page(includes, is_mdx).read(lines, includes.folder)


@dataclass(slots=True)
class _Page:
    """The lines that were read so far: prose, whose inline markup goes, and code."""

    includes: Includes
    is_mdx: bool
    _done: list[str] = field(default_factory=list)
    _prose: list[str] = field(default_factory=list)

    def read(self, lines: Sequence[str], folder: Path | None) -> str:
        """Read all lines of a page and of what it includes."""
        self.add(lines, folder)
        self._end_prose()
        return "\n".join(self._done)

    def add(self, lines: Sequence[str], folder: Path | None) -> None:
        _Lines(self, lines, folder).read()

    def prose(self, *lines: str) -> None:
        self._prose += lines

    def title(self, title: str, indent: str = "") -> None:
        """Add a title as a paragraph."""
        if title.strip():
            self.prose("", indent + title.strip(), "")

    def code(self, lines: Iterable[str]) -> None:
        self._end_prose()
        self._done += lines

    def _end_prose(self) -> None:
        if self._prose:
            self._done.append(plain_inline("\n".join(self._prose), is_mdx=self.is_mdx))
            self._prose.clear()


@dataclass(frozen=True, slots=True)
class _Content:
    """The indented content of an admonition or a tab."""

    indent: int  # of its lines in the file
    removed: int  # columns


@dataclass(slots=True)
class _Lines:
    """Reads the lines of one file once; each `_take_…` returns whether it took lines."""

    page: _Page
    lines: Sequence[str]
    folder: Path | None
    position: int = 0
    _open: list[_Content] = field(default_factory=list)  # contents of admonitions and tabs
    _closers: list[str] = field(default_factory=list)  # marks that close open directives
    _in_list: bool = False

    def read(self) -> None:
        while self.position < len(self.lines):
            line = self._dedented(self.lines[self.position])
            takers = (self._take_indented, self._take_fence, self._take_colons, self._take_include, self._take_module)
            if not any(take(line) for take in takers):
                self._take_line(line)

    def _dedented(self, line: str) -> str:
        """Return a line without the indentation of open contents; close what it ends."""
        if not line.strip():
            return ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            line = line[: len(line) - len(line.lstrip())].expandtabs(4) + line.lstrip()
        indent = _indent(line)
        while self._open and indent < self._open[-1].indent:
            self._open.pop()
        line = line[self._removed :]
        is_nested = self.page.is_mdx and not self._in_list and _indent(line) > 0
        return line.lstrip(" ") if is_nested and not ITEM.match(line) else line

    def _take_line(self, line: str) -> None:
        if line.strip() and not line.startswith(" "):
            self._in_list = bool(ITEM.match(line))
        elif ITEM.match(line) and _indent(line) < 4:
            self._in_list = True
        if alert := ALERT.match(line):
            self.page.prose(alert["quote"] + _title(alert["kind"], alert["title"] or None), alert["quote"].rstrip())
        else:
            self.page.prose(line)
        self.position += 1

    @property
    def _may_be_code(self) -> bool:
        """Whether four spaces begin code here."""
        return not self._in_list and not self.page.is_mdx

    def _take_indented(self, line: str) -> bool:
        """Take the first line of an admonition or of a tab whose content is indented."""
        found = TAB.match(line) or INDENTED.match(line)
        if not found or (_indent(line) >= 4 and self._may_be_code):
            return False
        groups, raw = found.groupdict(), _indent(line) + self._removed
        if not groups.get("kind") and groups["title"] is None:
            return False
        self.page.title(_title(groups.get("kind") or "", groups["title"]), found["indent"])
        self.position += 1
        inner = min(self._next_indent(), raw + 4)
        if inner >= raw + 2:
            self._open.append(_Content(inner, self._removed + inner - raw))
        return True

    @property
    def _removed(self) -> int:
        """The columns by which open contents are indented more than the text around them."""
        return self._open[-1].removed if self._open else 0

    def _next_indent(self) -> int:
        for line in self.lines[self.position : self.position + 50]:
            if line.strip():
                return _indent(line)
        return 0

    def _take_fence(self, line: str) -> bool:
        """Take a block of code, or open or close a directive between such marks."""
        found = FENCE.match(line)
        if not found or (_indent(line) >= 4 and self._may_be_code):
            return False
        marks, info = found["marks"], found["info"].strip()
        cut = _indent(self.lines[self.position]) - _indent(line)
        directive = DIRECTIVE.match(info)
        if not info and self._closers and marks.startswith(self._closers[-1]):
            self._closers.pop()
            self.page.prose("")
            self.position += 1
        elif directive:
            self.position += 1
            self._directive(directive["name"], directive["argument"], marks, is_colons=False)
        else:
            self.position += 1
            self._code(found["indent"] + marks, info, self._until(marks, cut))
        return True

    def _code(self, opening: str, info: str, lines: Sequence[str]) -> None:
        """Add a block of code, with its title before it, and the files that it includes."""
        label = LABEL.search(info)
        self.page.title(" ".join(filter(None, [label.group(1) if label else "", shown_attributes(info)])))
        language = re.split(r"[\s,{\[]", info, maxsplit=1)[0]
        body = [part for line in lines for part in self._code_line(line)]
        if language == "rust":
            body = [_shown_rust(line) for line in body]
        marks = opening.strip()
        longest = max((len(line.strip()) for line in body if line.strip().startswith(marks[0] * 3)), default=0)
        closing = marks[0] * max(len(marks), longest + 1 if longest >= len(marks) else 0)
        indent = " " * _indent(opening)
        self.page.code([f"{indent}{closing}{language}", *body, indent + closing])

    def _code_line(self, line: str) -> Sequence[str]:
        """Return a line of code, or the lines of the file that it includes."""
        found = SNIPPET.match(line) or INCLUDE.match(line)
        path = next(filter(None, map(found.groupdict().get, ("path", "book", "bang", "liquid"))), "") if found else ""
        if not path:
            return [line]
        included = included_lines(self.page.includes, path.split(",")[0], self.folder)
        return included.shown() if included else []

    def _until(self, marks: str, cut: int = 0) -> list[str]:
        """Take the lines up to the closing marks, without `cut` columns of indentation."""
        taken: list[str] = []
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            shown = line[min(cut, _indent(line)) :]
            text = shown.strip()
            if text.startswith(marks) and not text.strip(marks[0]):
                break
            taken.append(shown)
        return taken

    def _take_colons(self, line: str) -> bool:
        """Open or close a container between colons."""
        found = COLONS.match(line)
        if not found or (_indent(line) >= 4 and self._may_be_code):
            return False
        rest = found["rest"]
        self.position += 1
        if not rest:
            self.page.prose("")
            return True
        directive = DIRECTIVE.match(rest)
        if directive and directive["name"][0] not in ".#":
            self._directive(directive["name"], directive["argument"], found["marks"], is_colons=True)
            return True
        kind = NAMED.match(rest.lstrip("{.").strip())
        label = LABEL.search(rest)
        after = re.sub(r"\{[^{}]*\}", "", rest[kind.end() :] if kind and not rest.startswith("{") else "")
        title = label.group(1) if label else after.strip() or shown_attributes(rest) or None
        self.page.title(_title(kind.group() if kind else "", title))
        return True

    def _directive(self, name: str, argument: str, marks: str, *, is_colons: bool) -> None:
        """Read a directive of MyST."""
        name = name.rsplit(":", 1)[-1]
        options: dict[str, str] = {}
        while self.position < len(self.lines) and (option := OPTION.match(self.lines[self.position])):
            options[option["name"]] = option["value"] or ""
            self.position += 1
        if name in ("include", "literalinclude"):
            self._until(marks)
            self._include_file(argument, is_code=name == "literalinclude", options=options)
        elif name in DROPPED:
            self._until(marks)
        elif name in CODE:
            self.page.title(options.get("caption", ""))
            self._code("`" * max(3, len(marks)), "" if name == "math" else argument, self._until(marks))
        else:
            is_path = name in ("figure", "image")
            self.page.title(_title(name, None if is_path or not argument.strip() else argument))
            if not is_colons:
                self._closers.append(marks)

    def _take_include(self, line: str) -> bool:
        """Take a line that includes a file."""
        snippet, found = SNIPPET.match(line), INCLUDE.match(line)
        if snippet is None and found is None:
            return False
        self.position += 1
        if snippet:
            for path in [snippet["path"]] if snippet["path"] else self._snippet_paths():
                self._include_file(path, is_code=False)
        elif found:
            groups = found.groupdict()
            path = next(filter(None, groups.values()))
            self._include_file(path, is_code=bool(groups["code"]))
        return True

    def _snippet_paths(self) -> list[str]:
        """Take the paths of a block of snippets."""
        paths: list[str] = []
        while self.position < len(self.lines) and len(paths) < 100:
            line = self.lines[self.position].strip()
            self.position += 1
            if SNIPPET.match(line):
                break
            paths += [line] if line and not line.startswith(";") else []
        return paths

    def _include_file(self, path: str, *, is_code: bool, options: dict[str, str] | None = None) -> None:
        """Add the lines of a file: as code, or read like this file."""
        found = included_lines(self.page.includes, path.strip(), self.folder)
        if found is None:
            return
        found = IncludedFile(found.path, chosen_lines(found, options or {}))
        if is_code or found.path.suffix.lower() not in (".md", ".mdx", ".markdown", ".txt", ""):
            self.page.title((options or {}).get("caption", ""))
            self._code("```", (options or {}).get("language", found.path.suffix[1:]), found.shown())
            return
        self._read_included(found)

    def _read_included(self, found: IncludedFile) -> None:
        self.page.includes.open.append(found.path)
        self.page.prose("")
        body = split_front_matter("\n".join(found.shown())).body
        self.page.add(body.split("\n"), found.path.parent)
        self.page.prose("")
        self.page.includes.open.pop()

    def _take_module(self, line: str) -> bool:
        """Take an import or an export of MDX."""
        if not self.page.is_mdx:
            return False
        if IMPORT.match(line):
            self.position += 1
            return True
        if not (OPEN_IMPORT.match(line) or EXPORT.match(line)):
            return False
        is_import = line.startswith("import")
        while self.position < len(self.lines) and self.lines[self.position].strip():
            self.position += 1
            if is_import and END_IMPORT.search(self.lines[self.position - 1]):
                break
        return True


def _title(kind: str, title: str | None) -> str:
    """Return the heading that a tool shows: the title, or the name of an admonition."""
    if title is not None:
        return title
    name = kind.strip().split(" ", 1)[0].removeprefix("callout-")
    return name.capitalize() if name.lower() in ADMONITIONS else ""


def _shown_rust(line: str) -> str:
    """Return a line of Rust without the mark by which mdBook hides it at first."""
    if line.lstrip().startswith("##"):
        return line.replace("##", "#", 1)
    return RUST_HIDDEN.sub(r"\1", line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
