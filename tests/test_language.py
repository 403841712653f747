"""The mechanical part of the rules of language in CONTRIBUTING.md, for docstrings, comments, messages and pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("retrieval", "indexer", "service", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SCRIPTS = sorted((ROOT / "service" / "static").glob("*.js"))
MAX_FIRST_LINE = 80

# Pronouns that hide the actor, and words that this project once used as private metaphors.
RULED_OUT = re.compile(r"\b(whoever|whomever|whosever|nobody|somebody|someone|anybody|thereof|wherein|whereof)\b", re.I)
# A sentence that begins with "What …" or "Who …" and is no question uses a clause where a noun belongs.
CLAUSE_AS_NOUN = re.compile(r"(?:^|(?<=[.;:!] ))(?:What|Who|Whose)\b(?![^.?!]*\?)")


@dataclass(frozen=True)
class Text:
    """A piece of prose and its place in the repository."""

    place: str
    words: str


def docstrings(path: Path) -> Iterator[Text]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield Text(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text)


def comments_and_messages(path: Path) -> Iterator[Text]:
    """Comments, and string literals that hold a sentence; docstrings come a second time, which does no harm."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(io.BytesIO(file.read()).readline):
            place = f"{path.relative_to(ROOT)}:{token.start[0]}"
            if token.type == tokenize.COMMENT:
                yield Text(place, token.string.lstrip("#").strip())
            elif token.type == tokenize.STRING and token.string.count(" ") > 2:
                yield Text(place, token.string.strip("rbf\"'"))


def prose(page: Path) -> Iterator[Text]:
    """Paragraphs and table cells of a page, without code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^    .*$|`[^`\n]*`|<!--.*?-->", "", text, flags=re.MULTILINE)
    for number, paragraph in enumerate(re.split(r"\n\s*\n|\n\||\s\| ", text), start=1):
        yield Text(f"{page.relative_to(ROOT)}, paragraph {number}", paragraph.strip())


def script_comments(script: Path) -> Iterator[Text]:
    for number, line in enumerate(script.read_text(encoding="utf-8").splitlines(), start=1):
        if comment := re.search(r"(?:^|\s)(?://|/?\*+)\s(.*)", line):
            yield Text(f"{script.relative_to(ROOT)}:{number}", comment[1])


def violations(texts: Iterator[Text]) -> list[str]:
    return [
        f"{text.place}: {match[0]!r} in {text.words[max(0, match.start() - 20) : match.end() + 40]!r}"
        for text in texts
        for pattern in (RULED_OUT, CLAUSE_AS_NOUN)
        for match in pattern.finditer(" ".join(text.words.split()))
    ]


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_the_rules_see_a_violation_and_pass_a_question() -> None:
    assert violations(iter([Text("here", "What is not committed is lost.")]))
    assert violations(iter([Text("here", "It waits for whoever asks.")]))
    assert not violations(iter([Text("here", "What is a generation? A committed state of a collection.")]))


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_are_plain(package: str) -> None:
    assert [each for path in sources(package) for each in violations(docstrings(path))] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_comments_and_messages_are_plain(package: str) -> None:
    assert [each for path in sources(package) for each in violations(comments_and_messages(path))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_plain(page: Path) -> None:
    assert violations(prose(page)) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_comments_of_the_page_are_plain(script: Path) -> None:
    assert violations(script_comments(script)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_docstring_begins_with_one_short_sentence(package: str) -> None:
    long = []
    for path in sources(package):
        for text in docstrings(path):
            first = text.words.splitlines()[0]
            if len(first) > MAX_FIRST_LINE:
                long.append(f"{text.place}: {len(first)} characters: {first}")
    assert long == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=lambda page: page.name)
def test_a_page_opens_with_its_use(page: Path) -> None:
    """The first sentence says in few words what the reader can do afterwards."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8").partition("\n")[2])
    opening = re.split(r"[.:]\s", " ".join(text.split()))[0]
    assert re.match(r"(After reading this page|This page)", opening), opening
    assert len(opening.split()) <= 40, opening
