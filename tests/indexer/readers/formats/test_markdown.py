"""Markdown: text, structure, and front matter."""

from __future__ import annotations

from pathlib import Path

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
