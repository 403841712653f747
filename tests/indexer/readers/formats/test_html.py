"""HTML pages: text without boilerplate, tables as rows, and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.html_samples import phrases, write_pages
from indexer.readers.formats.html import html_to_parsed
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


def shown(body: str) -> str:
    """Return the text of a page, parsed in this process."""
    return html_to_parsed(f"<!doctype html><html><body>{body}</body></html>").text


WORDS = ("Comments", "Share", "Related", "Navigation", "Sidebar", "Menu", "Cookies", "Login", "Newsletter", "Banner")
FRAMES = [
    '<section id="{slug}"><h2>{name}</h2><p>{text}</p></section>',
    '<div class="section" id="{slug}"><h2>{name}</h2><p>{text}</p></div>',
    '<div class="{slug}"><h2>{name}</h2><p>{text} See <a href="x">a book</a> and <a href="y">the map</a>.</p></div>',
    '<div class="{slug}-box"><h3>{name} of the lock</h3><pre>{text}</pre><button>Copy</button></div>',
    '<div class="{slug}"><p>{text}</p></div>',
    '<dl class="{slug}"><dt>{name}</dt><dd>{text}</dd></dl>',
    '<ul id="{slug}"><li>{text}</li><li>See <a class="{slug}" href="z">{name}</a> for more of it.</li></ul>',
    '<aside class="{slug}"><p>{text}</p></aside>',
    '<p class="{slug}">{text}</p>',
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("main", ["{}", "<main>{}</main>", '<div role="main">{}</div>'])
def test_no_text_is_lost_for_a_name(frame: str, main: str) -> None:
    texts = {name: f"Chapter {number} tells of the weir and its keeper." for number, name in enumerate(WORDS)}
    chapters = "".join(frame.format(name=name, slug=name.lower(), text=text) for name, text in texts.items())
    found = shown(main.format(f"<h1>The weir</h1>{chapters}"))
    assert [text for text in texts.values() if text not in found] == []


def test_a_large_text_beside_the_main_one_stays() -> None:
    main = "The weir was built of oak. " * 20
    beside = "The lock below it is younger, and has two gates. " * 6
    links = "".join(f'<li><a href="{n}">Another page of this site, number {n}</a></li>' for n in range(30))
    found = shown(
        f"<div><nav>{links}</nav><main><h1>Weirs</h1><p>{main}</p></main></div>"
        f"<div><div><p>{beside}</p></div><p>Short.</p><ul>{links}</ul></div><footer>All rights reserved.</footer>"
    )
    assert "built of oak" in found
    assert "two gates" in found
    assert found.index("built of oak") < found.index("two gates")
    assert "number 7" not in found
    assert "rights" not in found
    assert "Short." in found  # of the same part


def test_pages_of_generators(tmp_path: Path) -> None:
    write_pages(tmp_path)
    for name, wanted in phrases().items():
        if name != "made/page-docutils.html":  # its footer is text that nothing marks but a name
            text = "".join(html_to_parsed((tmp_path / Path(name).name).read_text()).text.split())
            wrong = [each for each in wanted if ("".join(each.lstrip("!").split()) in text) == each.startswith("!")]
            assert wrong == [], name


def test_answers_that_a_page_hides() -> None:
    questions = [
        '<h3><button aria-expanded="false">{q}</button></h3><div hidden><p>{a}</p></div>',
        '<button class="accordion">{q}</button><div class="panel" style="display: none">{a}</div>',
        '<button>{q}</button><div style="display:none">{a}</div>',
        "<dl><dt>{q}</dt><dd hidden>{a}</dd></dl>",
        '<div class="card"><div class="card-header"><a data-toggle="collapse" href="#c">{q}</a></div>'
        '<div id="c" class="collapse" style="display:none"><p>{a}</p></div></div>',
        '<h4>{q}</h4><div hidden="until-found">{a}</div>',
        "<details><summary>{q}</summary>{a}</details>",
        '<p onclick="open_it()">{q}</p><p id="menu" style="visibility:hidden">{a}</p>',
        '<div role="tablist"><button role="tab">{q}</button></div><div role="tabpanel" hidden>{a}</div>',
        '<div><button class="link"><b>{q}</b></button></div><div style="display:none">{a}</div>',
        '<div itemscope><b>We open {q}</b><i>!</i><div itemprop="acceptedAnswer" hidden><p>{a}</p></div></div>',
        '<ul><li><a href="#a" aria-expanded="false">{q}</a><div id="a" hidden>{a}</div></li></ul>',
        '<table><tr onclick="open_it()"><td>{q}</td></tr><tr style="display:none"><td>{a}</td></tr></table>',
    ]
    for number, markup in enumerate(questions):
        for around in ("{}", "<main>{}</main>"):
            body = markup.format(q=f"Open on day {number}?", a=f"Yes, from {number}.")
            found = shown(around.format(f"<h1>Questions</h1><p>We answer.</p>{body}"))
            assert f"Open on day {number}?" in found, markup
            assert f"Yes, from {number}." in found, markup


def test_hidden_boilerplate() -> None:
    body = """<h1>The weir</h1><p>It was built of oak, and the keeper mends it each spring with his own hands.</p>
      <div class="modal" hidden><p>Join our list of friends today, and never miss a letter from us again.</p></div>
      <ul hidden><li><a href="a">Home page</a></li><li><a href="b">Contact page</a></li></ul>
      <form style="display:none"><p>Tell us in a few words why this page did not help you today</p><input></form>
      <div class="error" hidden>Something went wrong while we sent your message, so please try it again.</div>
      <table><tr><td><span style="display:none">0007</span>seven</td></tr></table>"""
    text = shown(body)
    assert text.endswith("hands.\n\nseven")


def test_the_title_of_a_picture_is_not_that_of_the_page() -> None:
    assert html_to_parsed("<h1>Weirs</h1><svg><title>Icon</title></svg><p>Text.</p>").title == "Weirs"


def test_lines_and_tags_in_titles_and_cells() -> None:
    body = """<h1>Spring<br>Festival</h1><h2><div>Opening</div><div>Hours</div></h2>
      <table><tr><th>Substance<br/>or salt</th><th>Note</th></tr>
      <tr><td>H<sub>2</sub>SO<sub>4</sub></td><td><b>W</b>arning: un<i>break</i>able<p>first</p><p>then</p></td></tr>
      </table><pre><span>one</span><br><span>two</span></pre>"""
    lines = ["Spring Festival", "Opening Hours", "Substance or salt | Note"]
    lines += ["H2SO4 | Warning: unbreakable first then", "one", "two"]
    assert [line for line in shown(body).split("\n") if line] == lines


def test_readings_and_marks_of_notes() -> None:
    body = "<p><ruby>東<rt>とう</rt>京<rt>きょう</rt></ruby>の<ruby>館<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>は。</p>"
    assert shown(body) == "東京の館は。"
    body = '<p>The ducks<sup><a href="#n1">[1]</a></sup> swim<a href="#n2"><sup>2</sup></a> 10 m<sup>2</sup>.</p>'
    assert shown(body) == "The ducks swim 10 m2."


def test_controls_stand_within_a_line() -> None:
    assert (
        shown("<p>Press <button>OK</button> or <select><option>x</option></select> and wait.</p>")
        == "Press or and wait."
    )
    assert shown("<pre>one<button>Copy</button>\ntwo</pre>") == "one\ntwo"
