"""HTML pages: text without boilerplate, tables as rows, and metadata."""

from __future__ import annotations

from pathlib import Path

from tests.indexer.readers.reading import read_one


def test_html_without_boilerplate(tmp_path: Path) -> None:
    words = "The kettle boils at one hundred degrees, as every cook knows. " * 8
    page = f"""<!DOCTYPE html><html lang="en-GB"><head><title>Kettles - Kitchen Site</title>
      <meta name="author" content="B. Brew"><meta property="article:published_time" content="2024-05-01">
      <script>var x = "never shown"</script></head><body>
      <nav><a href="/">Home page</a></nav><div class="cookie-banner">We use cookies</div>
      <main><h1>Kettles</h1><p>{words}</p><h2>Descaling</h2><ul><li>Use vinegar.</li><li>Rinse.</li></ul>
      <table><tr><th>Metal</th><th>Minutes</th></tr><tr><td>Steel</td><td>3</td></tr></table>
      <pre>boil  --now\n  wait</pre><p>one<br>two</p></main>
      <footer>All rights reserved</footer></body></html>"""
    (tmp_path / "page.txt").write_text(page)
    document = read_one(tmp_path / "page.txt")
    assert document.title == "Kettles"
    assert document.metadata["author"] == "B. Brew"
    assert document.metadata["date"] == "2024-05-01"
    assert document.metadata["language"] == "en"
    for gone in ("never shown", "Home page", "cookies", "All rights"):
        assert gone not in document.text
    after = "Descaling\n- Use vinegar.\n- Rinse.\n\nMetal | Minutes\nSteel | 3\n\nboil  --now\n  wait\n\none\ntwo"
    assert document.text.endswith(after)
    assert document.sections[1].location == "Kettles › Descaling"
    assert document.sections[1].heading == "Descaling"


def test_a_page_of_links_alone_keeps_them(tmp_path: Path) -> None:
    links = "".join(f'<li><a href="/{n}">Chapter number {n}</a></li>' for n in range(9))
    (tmp_path / "index.html").write_text(f"<html><body><ul>{links}</ul></body></html>")
    assert "Chapter number 3" in read_one(tmp_path / "index.html").text


def page(tmp_path: Path, body: str, head: str = "") -> Path:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>")
    return path


def test_a_table_within_a_cell(tmp_path: Path) -> None:
    inner = "<table><tr><td>in</td><td>side</td></tr></table>"
    titled = f"<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>{inner}</td></tr></table>"
    assert read_one(page(tmp_path, titled)).text == "A | B\n1 | in side"
    layout = f"<table><tr><td><p>left</p></td><td>{inner}</td></tr></table>"
    assert read_one(page(tmp_path, layout)).text == "left\n\nin | side"


def test_linked_data(tmp_path: Path) -> None:
    graph = '{"@graph": [{"@type": "Organization", "name": "Site"}, {"@type": ["NewsArticle"], "datePublished":'
    graph += ' "2024-02-03T10:00:00Z", "author": [{"name": "Ann"}, {"name": "Bob"}]}]}'
    kind = 'type="application/ld+json"'
    document = read_one(
        page(tmp_path, "<p>text</p>", f"<script {kind}>{{broken</script><script {kind}>{graph}</script>")
    )
    assert (document.metadata["author"], document.metadata["date"]) == ("Ann, Bob", "2024-02-03T10:00:00Z")
    assert document.text == "text"


def test_headings_without_their_anchors(tmp_path: Path) -> None:
    body = '<h1>Kettles<a href="#k">#</a></h1><p>text, see <a href="#1">#1</a></p>'
    body += '<h2>Pots <a href="#p">¶</a></h2><p>more</p>'
    document = read_one(page(tmp_path, body, "<title>Kettles | Kitchen v2 documentation</title>"))
    assert document.title == "Kettles"
    named = "<title>Pots | Kitchen v2 documentation</title>"
    assert read_one(page(tmp_path, "<h1>Kitchen v2 documentation</h1><h2>Pots</h2><p>x</p>", named)).title == "Pots"
    assert document.text == "Kettles\n\ntext, see #1\n\nPots\n\nmore"


def test_elements_closed_at_once(tmp_path: Path) -> None:
    head = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x"/></head>'
    (tmp_path / "d.xhtml").write_text(
        f'{head}<body><a id="p1"/><p>one<br/>two</p><div class="x" /><p>three</p></body></html>'
    )
    assert read_one(tmp_path / "d.xhtml").text == "one\ntwo\n\nthree"


def test_charsets_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    text = "<html><head><meta charset='%s'><title>t</title></head><body><p>schön – “grün”</p></body></html>"
    for declared, used in (("iso-8859-1", "utf-8"), ("utf-8", "cp1252"), ("iso-8859-1", "cp1252")):
        path.write_bytes((text % declared).encode(used))
        assert read_one(path).text == "schön – “grün”"
