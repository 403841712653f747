"""Markdown and HTML of documentation tools: text and code stay, marks go, includes keep to their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome
from indexer.readers.formats.includes import MAX_FILE_BYTES, MAX_FILES
from indexer.readers.formats.markdown import text_to_parsed
from indexer.readers.formats.rst import parse_rst
from indexer.readers.opening import open_documents
from retrieval.types import Document

MARKS = (
    "!!!",
    "???",
    "===",
    ":::",
    "[!",
    "{:",
    "{#",
    "{%",
    "{{",
    "<Tab",
    "</",
    "import ",
    "--8<--",
    "```",
    "++",
    ";tab",
)
WORDS = st.from_regex(r"[a-z]{4,9}", fullmatch=True)


def shown(text: str, *, mdx: bool = False) -> str:
    return text_to_parsed(text, ReadOptions(file="page.mdx" if mdx else "")).text


def indented(text: str, columns: int = 4) -> str:
    return "\n".join(" " * columns + line if line else "" for line in text.split("\n"))


CONTAINERS = {
    "mkdocs": lambda title, body: f'!!! note "{title}"\n{indented(body)}\n',
    "collapsed": lambda title, body: f'??? tip "{title}"\n{indented(body)}\n',
    "tab": lambda title, body: f'=== "{title}"\n\n{indented(body)}\n',
    "docusaurus": lambda title, body: f":::note[{title}]\n\n{body}\n\n:::\n",
    "vitepress": lambda title, body: f"::: tip {title}\n{body}\n:::\n",
    "myst": lambda title, body: f"::::{{admonition}} {title}\n:class: tip\n{body}\n::::\n",
    "gitbook": lambda title, body: f'{{% tab title="{title}" %}}\n{body}\n{{% endtab %}}\n',
    "hugo": lambda title, body: f'{{{{< tab "{title}" >}}}}\n{body}\n{{{{< /tab >}}}}\n',
    "component": lambda title, body: f'<TabItem value="x" label="{title}">\n\n{body}\n\n</TabItem>\n',
    "attributes": lambda title, body: f"## {title} {{#{title} .wide}}\n\n{body}\n\n{{: .lead }}\n",
    "quote": lambda title, body: f"> [!NOTE] {title}\n> said\n\n{body}\n",
}


@st.composite
def pages(draw: st.DrawFn, depth: int = 2) -> tuple[str, list[str], list[str]]:
    """Return Markdown, its words in order, and its lines of code in order."""
    text, words, code = "", [], []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["text", "code", *(CONTAINERS if depth else ())]))
        word = draw(WORDS)
        if kind == "text":
            text += f"Some **{word}** `{word}` here.\n\n"
            words += [word]
        elif kind == "code":
            line = f'<A b="{word}"> !!! {{{{ {word} }}}} ::: # {word}'
            text += f"```python\n{line}\n    {line}\n```\n\n"
            code += [line, f"    {line}"]
        else:
            body, inner, lines = draw(pages(depth=depth - 1))
            text += CONTAINERS[kind](word, body.rstrip("\n")) + "\n"
            words += [word, *inner]
            code += lines
    return text, words, code


@given(pages())
def test_no_text_is_lost_and_no_mark_stays(page: tuple[str, list[str], list[str]]) -> None:
    text, words, code = page
    found = shown(text).split("\n")
    position = 0
    for line in code:
        position = found.index(line, position) + 1
    prose = " ".join(line for line in found if line not in code)
    position = 0
    for word in words:
        position = prose.index(word, position) + 1
    assert [mark for mark in MARKS if mark in prose] == []


@given(st.text(st.sampled_from("!?=:{}<>`#|[]()%*_-+~/\\ \n\t\"'abAB1."), max_size=300))
def test_any_text_is_read(text: str) -> None:
    for mdx in (False, True):
        shown(text, mdx=mdx)
    parse_rst(text.encode(), ReadOptions())


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=6))
def test_plain_prose_stays_as_it_is(paragraphs: list[str]) -> None:
    assert shown("\n\n".join(paragraphs)) == "\n\n".join(paragraphs)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "A List<String> is x < y, a == b == c, and i++ or ++i.",
            "A List<String> is x < y, a == b == c, and i++ or ++i.",
        ),
        ("Write `<Tabs>`, `{{< x >}}` and `!!! note`.", "Write <Tabs>, {{< x >}} and !!! note."),
        ("Press ++ctrl+c++ and ==see== :material-check:{ .ok } it", "Press ctrl+c and see  it"),
        ("See {ref}`the page <target>` and {doc}`other`.", "See the page and other."),
        ("(here)=\n# Title\n\n[TOC]\n\ntext", "Title\n\ntext"),
        ("Term\n:   Its meaning", "Term\nIts meaning"),
        ("*[HTML]: Hyper Text", "HTML: Hyper Text"),
        ("```js [config.js]\na\n```", "config.js\n\na"),
        ('```py title="a.py" hl_lines="1"\nx\n```', "a.py\n\nx"),
        ("```rust\n# fn main() {\nlet x = 5;\n#[test]\n## y\n# }\n```", "fn main() {\nlet x = 5;\n#[test]\n# y\n}"),
        ("    !!! note\n        code", "!!! note\n    code"),
        ("- one\n\n    !!! note\n        two\n\n    three", "- one\n\nNote\n\ntwo\n\nthree"),
        ("> [!WARNING]\n> Mind it.", "Warning\n\nMind it."),
        ("!!! warning\n    Mind it.", "Warning\n\nMind it."),
        ('!!! note ""\n    Mind it.', "Mind it."),
        ("````{note}\nx\n```{code-block} python\n:caption: a.py\ny\n```\n````", "Note\n\nx\n\na.py\n\ny"),
        ("```{toctree}\n:maxdepth: 2\na\n```\ntext", "text"),
        ("::: code-group\n```js [a]\n1\n```\n:::", "a\n\n1"),
        ("<Badge type='tip' text='beta' /> next", "beta next"),
        ("{{% notice tip %}}\nsaid\n{{% /notice %}}", "said"),
        ('{{< figure src="a.png" title="The title" >}}', "The title"),
    ],
)
def test_each_mark(markdown: str, expected: str) -> None:
    assert shown(markdown).strip() == expected.strip()


def test_mdx() -> None:
    text = """import Tabs from '@theme/Tabs';
import {
  A,
} from './x';

export const H = ({c}) => (
  <b>{c}</b>
);

# Title {/* #custom */}

<Tabs groupId="os">
  <TabItem
    value="a"
    label={'Apple'}
    default={() => x > 3}
  >
    An **apple** is <H color="red">red</H>{' '}and {props.name} `{x}`.

    ```js
    const f = () => <A b={1}/>;
    ```
  </TabItem>
</Tabs>
"""
    expected = "Title\n\nApple\n\nAn apple is red and  {x}.\n\nconst f = () => <A b={1}/>;"
    assert shown(text, mdx=True) == expected


def read(folder: Path) -> tuple[dict[str, str], list[FileOutcome]]:
    outcomes: list[FileOutcome] = []
    items = list(open_documents(folder, ReadOptions(workers=1), outcomes.append))
    return {item.id: item.text for item in items if isinstance(item, Document)}, outcomes


def test_includes(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "part.md").write_text("---\nx: 1\n---\nThe **part**.\n")
    (docs / "part.txt").write_text("Sub\n---\n\nThe *part*.\n")
    (docs / "code.py").write_text("# --8<-- [start:a]\na = 1\n# --8<-- [end:a]\nb = 2\n")
    part = [
        '--8<-- "part.md"',
        "{{#include part.md}}",
        "{!part.md!}",
        '{% include "part.md" %}',
        "<!--@include: ./part.md-->",
    ]
    (docs / "a.md").write_text("\n\n".join([*part, "```{include} part.md\n```", '--8<-- "docs/part.md"']))
    (docs / "b.md").write_text('```py\n--8<-- "code.py:a"\n{{#include code.py:4}}\n```\n\n<<< ./code.py{1 py}\n')
    (docs / "c.rst").write_text(
        ".. include:: part.txt\n\n.. literalinclude:: code.py\n   :lines: 4\n   :caption: Cap\n"
    )
    texts, outcomes = read(tmp_path)
    assert texts["docs/a.md"] == "\n\n".join(["The part."] * 7)
    assert texts["docs/b.md"] == "a = 1\nb = 2\n\na = 1\nb = 2"
    assert texts["docs/c.rst"] == "Sub\n\nThe part.\n\nCap\n\nb = 2"
    assert [outcome.reason for outcome in outcomes if outcome.reason] == []


def test_includes_keep_to_the_folder_and_are_reported(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / ".git").mkdir(parents=True)
    for secret in (tmp_path / "secret.md", root / ".git" / "secret.md"):
        secret.write_text("SECRET")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    os.mkfifo(root / "pipe.md")
    (root / "large.txt").write_bytes(b"SECRET " * MAX_FILE_BYTES)
    (root / "self.md").write_text('--8<-- "self.md"\n\nself')
    targets = [
        "../secret.md",
        "sub/../../secret.md",
        str(tmp_path / "secret.md"),
        ".git/secret.md",
        "link.md",
        "pipe.md",
    ]
    targets += [
        "large.txt",
        "missing.md",
        "http://example.com/x.md",
        "../root/../secret.md",
        str(Path(__file__).resolve()),
        "a\0b",
    ]
    lines = [f'--8<-- "{target}"' for target in targets]
    lines += [f"```{{literalinclude}} {target}\n```" for target in targets]
    (root / "page.md").write_text("\n\n".join(["before", *lines, "after"]))
    (root / "page.rst").write_text("\n\n".join(["before", *(f".. include:: {target}" for target in targets), "after"]))
    texts, outcomes = read(root)
    assert texts["page.md"] == texts["page.rst"] == "before\n\nafter"
    assert texts["self.md"] == "self"
    said = {outcome.path.partition("page.md/")[2] for outcome in outcomes if "include left out" in outcome.reason}
    assert {"../secret.md", ".git/secret.md", "large.txt", "missing.md"} <= said


def test_includes_are_bounded(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.md").write_text(f"level {number}\n\n" + f'--8<-- "{number + 1}.md"\n\n' * 4)
    texts, _ = read(tmp_path)
    assert max(text.count("level") for text in texts.values()) <= MAX_FILES + 1


def test_a_page_of_the_web_or_an_archive_includes_nothing() -> None:
    said: list[str] = []
    options = ReadOptions(report_unread=lambda part, reason: said.append(f"{part.name}: {reason}"))
    assert text_to_parsed('text\n\n--8<-- "part.md"', options).text == "text"
    assert said == ["part.md: include left out: the document is not in a folder that is being read"]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (
            '<main><h1>Use<a class="headerlink" href="#u" title="Link">¶</a></h1><p>Install it first.</p></main>'
            '<footer><a rel="next" href="b.html">Next</a></footer>',
            "Use\n\nInstall it first.",
        ),
        (
            '<main><article><h2>Start<a href="#a" class="hash-link">\u200b</a></h2><p>Welcome to them.</p><footer>'
            '<a class="theme-edit-this-page" href="x">Edit this page</a></footer></article>'
            '<div class="theme-doc-toc-desktop"><ul><li><a href="#a">Start</a></li></ul></div></main>',
            "Start\n\nWelcome to them.",
        ),
        (
            '<main><article><a href="x" class="md-content__button">.</a><h1>Set up</h1><div class="tabbed-labels">'
            '<label for="a">Linux</label><label for="b">macOS</label></div><p>Run the installer.</p></article></main>',
            "Set up\n\nLinux macOS\n\nRun the installer.",
        ),
    ],
)
def test_built_pages(tmp_path: Path, html: str, expected: str) -> None:
    (tmp_path / "a.html").write_text(f"<html><head><title>T</title></head><body>{html}</body></html>")
    assert read(tmp_path)[0]["a.html"] == expected


def test_a_label_and_the_text_behind_its_tag_are_words_apart() -> None:
    assert shown('<TabItem value="a" label="Apple">This is one.</TabItem>', mdx=True) == "Apple This is one."


def test_an_include_of_myst_obeys_its_options(tmp_path: Path) -> None:
    (tmp_path / "part.md").write_text("first\nsecond\nthird\n")
    (tmp_path / "page.md").write_text("```{include} part.md\n:start-line: 1\n:end-before: third\n```\n")
    [page] = [each for each in open_documents(tmp_path / "page.md", ReadOptions()) if isinstance(each, Document)]
    assert page.text == "second"
