"""Markdown: text, structure, and front matter."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexer.readers.formats.front_matter import split_front_matter
from tests.indexer.readers.reading import headed, read_one


def test_markdown(tmp_path: Path) -> None:
    text = "---\ntitle: Named\ntags: [a, b]\ndraft: false\ndate: 2024-01-02\n---\n\n"
    text += "# Top\n\nA [link](http://x) and `code`.\n\n## Sub\n\n- one\n- two\n"
    text += "\n| h | i |\n|---|---|\n| 1 | 2 |\n\n```py\nx  = 1\n```\n"
    (tmp_path / "d.md").write_text(text)
    document = read_one(tmp_path / "d.md")
    assert document.title == "Named"
    assert document.metadata["tags"] == ("a", "b")
    assert document.metadata["draft"] is False
    assert document.metadata["date"] == "2024-01-02"
    assert document.text == "Top\n\nA link and code.\n\nSub\n- one\n- two\n\nh | i\n1 | 2\n\nx  = 1"
    assert headed(document) == [("Top", "Top", "Top"), ("Top › Sub", "Top › Sub", "Sub")]


def test_front_matter(tmp_path: Path) -> None:
    """Read block scalars, lists, nested fields and comments of YAML, and TOML."""
    lines = [
        'title: "Kettles: a study"',
        "summary: >",
        "  folded: text",
        "  goes on",
        "tags:",
        "  - a",
        "  - 'b: c'",
        "author:",
        "  name: Ann  # the first",
        "editors:",
        "  - name: Bob",
        "# nothing",
        "year: 2024",
    ]
    (tmp_path / "y.md").write_text("\n".join(["---", *lines, "---", "text"]))
    document = read_one(tmp_path / "y.md")
    about = {key: document.metadata[key] for key in ("summary", "tags", "author.name", "editors", "year")}
    assert about == {
        "summary": "folded: text goes on",
        "tags": ("a", "b: c"),
        "author.name": "Ann",
        "editors": ("Bob",),
        "year": 2024.0,
    }
    assert (document.title, document.text) == ("Kettles: a study", "text")
    (tmp_path / "t.md").write_text('+++\ntitle = "Hugo"\ndate = 2024-05-06\n[params]\nn = 1\n+++\ntext')
    document = read_one(tmp_path / "t.md")
    assert (document.title, document.text) == ("Hugo", "text")
    assert (document.metadata["date"], document.metadata["params.n"]) == ("2024-05-06", 1.0)


def test_markdown_with_html(tmp_path: Path) -> None:
    (tmp_path / "d.md").write_text(
        "one<br/>two &amp; <b>three</b>\n\n<!-- a <b> comment -->\n\n<p>fish &amp; chips</p>\n"
    )
    assert read_one(tmp_path / "d.md").text == "one\ntwo & three\n\nfish & chips"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("---\n\nA rule: above.\n\n---\n\nBelow.\n", "A rule: above.\n\nBelow."),
        ("---\n\n# Minutes\n\nPresent: Ann.\n\n---\n\nNext.\n", "Minutes\n\nPresent: Ann.\n\nNext."),
        ("---\n# Minutes\n\nPresent: Ann.\n\n---\n\nNext.\n", "Minutes\n\nPresent: Ann.\n\nNext."),
        ("---\nProse, no field.\n---\nThe rest.\n", "Prose, no field.\n\nThe rest."),
        ("---\nThe notes: of May.\n\nAnn spoke.\n---\nThe rest.\n", "The notes: of May.\n\nAnn spoke.\n\nThe rest."),
        ("---\n- a\n- b\n---\nThe rest.\n", "- a\n- b\n\nThe rest."),
    ],
)
def test_a_rule_at_the_top_is_no_front_matter(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "d.md").write_text(text)
    document = read_one(tmp_path / "d.md")
    assert document.text == shown
    assert set(document.metadata) <= {"path", "bytes", "modified", "format", "language"}


def test_values_without_quotes_keep_their_text(tmp_path: Path) -> None:
    lines = ["title: 1984", "isbn: 0451524934", "version: 1.10", "year: 2024", "rate: 4.5", "country: no", "gone: ~"]
    lines += ["tags: [dystopia, \"war, peace\", 'big brother', 1.10]", "subtitle: 'The last man''s tale'"]
    lines += [
        'motto: "caf\\u00e9 \\"noir\\""',
        "summary: It goes on",
        "  over a line",
        "作者: 欧威尔",
        "when: 2024-01-02",
    ]
    (tmp_path / "d.md").write_text("\n".join(["---", *lines, "---", "text"]), "utf-8")
    document = read_one(tmp_path / "d.md")
    about = {
        key: document.metadata[key] for key in document.metadata if key not in ("path", "bytes", "modified", "format")
    }
    assert document.title == "1984"
    assert about == {
        "isbn": "0451524934",
        "version": "1.10",
        "year": 2024,
        "rate": 4.5,
        "country": "no",
        "tags": ("dystopia", "war, peace", "big brother", "1.10"),
        "subtitle": "The last man's tale",
        "motto": 'café "noir"',
        "summary": "It goes on over a line",
        "作者": "欧威尔",
        "when": "2024-01-02",
    }


def test_a_damaged_field_stays_as_written(tmp_path: Path) -> None:
    lines = ["title: Kettles: a study", "by: @ann", "tags:", "- a", "- b", "year: 2024"]
    (tmp_path / "d.md").write_text("\n".join(["---", *lines, "---", "text"]))
    document = read_one(tmp_path / "d.md")
    assert (document.title, document.text) == ("Kettles: a study", "text")
    assert [document.metadata[name] for name in ("by", "tags", "year")] == ["@ann", ("a", "b"), 2024]


def test_front_matter_is_bounded() -> None:
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    for yaml in (f"a0: &a0 [x]\n{laughs}", f"deep: {'[' * 500}{']' * 500}"):
        started = time.process_time()
        split_front_matter(f"---\n{yaml}\n---\ntext")
        assert time.process_time() - started < 5


def test_footnotes(tmp_path: Path) -> None:
    (tmp_path / "d.md").write_text(
        "It burnt[^1] twice[^b].\n\n[^1]: By *accident*.\n[^b]: See page 40.\n[^c]: Unused.\n"
    )
    shown = "It burnt[1] twice[b].\n[1] By accident.\n[b] See page 40.\n[c] Unused."
    assert read_one(tmp_path / "d.md").text == shown


def test_attributes_in_braces_are_left_out(tmp_path: Path) -> None:
    text = "# Using {#each} blocks {#using .wide}\n\n"
    text += "See [it](x){.link} and `x{#y}`.\n{: .note}\n\n## Pots {: #pots }\n\nb\n"
    (tmp_path / "d.md").write_text(text)
    document = read_one(tmp_path / "d.md")
    assert document.title == "Using {#each} blocks"
    assert document.text == "Using {#each} blocks\n\nSee it and x{#y}.\n\nPots\n\nb"


def test_html_within_markdown(tmp_path: Path) -> None:
    text = "<style>\n.a { b: c }\n</style>\n\n<script>\n\nvar x;\n</script>\n\n"
    text += "<table><tr><td>a</td><td>b</td></tr></table>\n"
    (tmp_path / "d.md").write_text(text + "\nInline <script>gone()</script> text.\n")
    assert read_one(tmp_path / "d.md").text == "a | b\n\nInline  text."
