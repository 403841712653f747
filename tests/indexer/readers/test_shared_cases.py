"""Cases of a folder that is kept outside the project: files and queries that broke a version of Attendex.

The folder `shared/cases` beside the checkout, or the one that ATTENDEX_CASES names. Each case has files and says what
they should give. Cases that are not right yet are expected to fail; the change that mends one removes its mark.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.building.pipeline import build_collection
from service.cli import app
from tests.conftest import REPOSITORY
from tests.service.conftest import Serve, Served, encoders, serve  # noqa: F401 -- fixtures

FOLDER = Path(os.environ.get("ATTENDEX_CASES", REPOSITORY.parent / "shared" / "cases"))
STEP_URL = "http://127.0.0.1:18098"  # in the programs of the cases

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the cases, and {FOLDER} is not there"),
    pytest.mark.slow,  # each file is read by the command, in a parser process of its own
]


def not_yet(reason: str) -> pytest.MarkDecorator:
    """Expect a case to fail; the change that mends it removes this mark."""
    return pytest.mark.xfail(strict=True, reason=reason)


JAPANESE = "来月の予算会議は第二水曜日に行います。"
HERONS = (
    "Heron count",
    "author=Ann <ann@example.org>",
    "We counted eleven herons – two more than last year.",
)
READINGS = "東京の図書館は九時に開きます。"
RAIN = ("City | Rain", "Bergen | 2250")
ANSWERS = (
    "When does my parcel arrive?",
    "Within four working days of the order.",
    "Can I change the address?",
    "Until the parcel has left the warehouse, under My orders.",
)
LEVELS = (
    "Water levels of the river Tarn",
    "The gauge at the mill shows the height of the water above the sill",
)

# File, the texts that it gives in this order, and those that it must not give.
READ: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    (
        "01-html-dropped-by-name/sphinx.html",
        (
            "See Installing the client before you start, and the protocol notes for details.",
            "Cookies",
            "The jar holds what the server sent.",
            "Login",
            "Pass a user name and a passphrase",
        ),
        ("¶",),
    ),
    (
        "01-html-dropped-by-name/gh.html",
        (
            "The relay clicks twice before.",
            "Set the delay to thirty seconds",
            "I have added a note to the manual.",
        ),
        (),
    ),
    (
        "01-html-dropped-by-name/menu.html",
        (
            "Open from noon, closed on Mondays.",
            "Menu",
            "Smoked eel with horseradish",
            "Related diseases",
            "None, we hope.",
            "Best crumble in the valley, wrote a guest.",
            "Take the footpath by the weir.",
            "Pensioners pay half.",
            "Built in 1702.",
            "Ms Tarn",
            "Dogs are welcome in the garden",
        ),
        (),
    ),
    ("02-iso-2022-jp/memo-jis.txt", ("議事録", JAPANESE), ()),
    ("02-iso-2022-jp/page-jis.html", (JAPANESE,), ()),
    ("02-iso-2022-jp/mail-jis.eml", ("議事録", JAPANESE), ()),
    ("02-iso-2022-jp/rows-jis.csv", (JAPANESE,), ()),
    (
        "02-iso-2022-jp/mail-utf7.eml",
        ("Die Prüfung der Brücke fällt am Donnerstag aus.",),
        (),
    ),
    ("02-iso-2022-jp/mail-hz.eml", ("明天的会议改到下午三点。",), ()),
    (
        "03-markdown-leading-rule/minutes.md",
        (
            "Minutes",
            "Present: Ann, Bo.",
            "The warden asked for a new windlass.",
            "Next meeting in June.",
        ),
        (),
    ),
    (
        "03-markdown-leading-rule/prose.md",
        ("The first line is prose, no field.", "The rest."),
        (),
    ),
    (
        "03-markdown-leading-rule/rule.md",
        ("A note that begins with a rule.", "Second part: the weir", "Third part."),
        (),
    ),
    (
        "05-kind-by-first-bytes/bear.txt",
        ("Rar! said the bear, and the children laughed.",),
        (),
    ),
    (
        "05-kind-by-first-bytes/bridge.txt",
        ("From January to the end of March 2020", "the ferry ran twice as often."),
        (),
    ),
    (
        "05-kind-by-first-bytes/diary.md",
        ("From Rome to Naples", "Day two was wet.", "From Naples we sailed on."),
        (),
    ),
    (
        "05-kind-by-first-bytes/gif.txt",
        ("GIF89 and GIF87 are two versions of one format.",),
        (),
    ),
    (
        "05-kind-by-first-bytes/shop.txt",
        ("MZ Wallace sells", "The shop opens at ten."),
        (),
    ),
    (
        "05-kind-by-first-bytes/sig.eml",
        ("It must begin with %PDF-1.5, says the manual.",),
        (),
    ),
    ("05-kind-by-first-bytes/sig.html", ("Look for %PDF-1.7 at the start.",), ()),
    (
        "05-kind-by-first-bytes/sig.py",
        ("def is_pdf(head):", 'return head.startswith(b"%PDF-")'),
        (),
    ),
    (
        "05-kind-by-first-bytes/signatures.md",
        ("PDF | %PDF-1.7", "The table helps when a suffix is missing."),
        (),
    ),
    (
        "05-kind-by-first-bytes/trees.txt",
        ("ID3 is an algorithm", "Quinlan published it in 1986."),
        (),
    ),
    *((f"06-ruby/ruby.{suffix}", (READINGS,), ("とう", "としょ")) for suffix in ("html", "docx", "odt", "epub")),
    (
        "07-docx-altchunk/altchunk.docx",
        ("Weir report", "The weir was mended in May."),
        (),
    ),
    (
        "08-html-br-and-cells/br.html",
        ("Spring Festival", "Opening Hours", "H2O", "H2SO4 | Warning: unbreakable"),
        (),
    ),
    ("09-html-collapsed/faq.html", ANSWERS, ()),
    (
        "09-html-collapsed/uf.html",
        (*ANSWERS, "Do you ship abroad?", "To Norway and Malta only."),
        (),
    ),
    (
        "10-front-matter/novel.md",
        (
            "novel.md 1984",
            "isbn=0451524934",
            "version=1.10",
            "tags=('dystopia', 'war, peace', 'big brother')",
            "subtitle=The last man's tale",
            'motto=café "noir"',
            "summary=A long summary that goes on over a second line",
            "作者=欧威尔",
            "Thirteen.",
        ),
        ("<style", "<script", "color:", "alert("),
    ),
    *((f"11-mail-bom-blank-utf16/{name}.eml", HERONS, ()) for name in ("blank", "bom", "wide")),
    (
        "12-mail-attached-base64/nested.eml",
        ("nested.eml/fwd.eml Pump hire", "The pump costs forty a day."),
        (),
    ),
    (
        "13-mail-body-choice/picture-first.eml",
        ("The picture came first; the text about the weir second.",),
        (),
    ),
    (
        "13-mail-body-choice/placeholder.eml",
        ("The upper lock is shut until Easter",),
        (),
    ),
    (
        "13-mail-body-choice/calendar.eml",
        ("Gate inspection", "Upper lock", "Bring the long ladder"),
        (),
    ),
    ("14-mail-charsets/hebrew-8i.eml", ("שלום לכולם, הפגישה מחר",), ()),
    ("14-mail-charsets/unknowncs.eml", ("Müller fährt nach Köln.",), ()),
    (
        "14-mail-charsets/8bit.eml",
        ("Schlüssel übergeben", "Die Schlüssel für die Schleuse liegen bei Frau Böhm."),
        (),
    ),
    (
        "15-docx-textbox/textboxglue.docx",
        ("Annual report", "of the lock keepers", "Summary of the year"),
        (),
    ),
    (
        "15-docx-textbox/celltextbox.docx",
        ("Boxed words",),
        ("Boxed words Boxed words",),
    ),
    (
        "16-pptx/a.pptx",
        ("Chosen once", "first line second line"),
        ("Chosen once Chosen once",),
    ),
    (
        "17-xlsx-values/formats.xlsx",
        ("0.3", "12.5%", "42:00", "#N/A"),
        ("0.30000000000000004",),
    ),
    ("18-xls-that-is-not/report.xls", RAIN, ()),
    ("18-xls-that-is-not/report2003.xls", RAIN[1:], ()),
    ("18-xls-that-is-not/tabs.xls", RAIN, ()),
    (
        "19-json-lines-called-json/lines.json",
        ("a", "fired on Fridays", "b", "dries overnight"),
        (),
    ),
    (
        "20-csv-edges/emptyrows.csv",
        ("1 Weir", "The weir leaks.", "2 Lock", "opens at seven."),
        (),
    ),
    (
        "20-csv-edges/quotes.csv",
        ("1 Weir", 'The "old" weir leaks.', "2 Lock", "3 Gate"),
        (),
    ),
    (
        "20-csv-edges/trailing.csv",
        ("1 Weir", "The weir leaks.", "2 Lock", "opens at seven."),
        (),
    ),
    ("26-pdf-title/anon.pdf", (f"anon.pdf {LEVELS[0]}", LEVELS[1]), ("anonymous",)),
    (
        "26-pdf-title/anon2.pdf",
        (f"anon2.pdf {LEVELS[0]}", LEVELS[1]),
        ("anonymous", "unspecified"),
    ),
    ("26-pdf-title/kern.pdf", (f"kern.pdf {LEVELS[0]}", LEVELS[1]), ()),
    (
        "30-footnotes-rst/chem.rst",
        ("Water is H2O and reStructuredText.", "*not emphasis*"),
        (),
    ),
    (
        "30-footnotes-rst/notes.md",
        ("Accidentally.", "See the parish book, page 40."),
        (),
    ),
    ("31-short-legacy-text/de1.txt", ("Die Schlüssel für die Schleuse",), ()),
    ("31-short-legacy-text/it1.txt", ("La città è più bella di sera.",), ()),
    ("31-short-legacy-text/pt1.txt", ("A reunião da câmara é amanhã",), ()),
    ("31-short-legacy-text/fi1.txt", ("Äiti käy työssä",), ()),
    ("31-short-legacy-text/page-pl.html", ("Źródło wody pitnej",), ()),
    (
        "32-csv-late-accent/late.csv",
        ("Die Schlüssel für die Schleuse hängen am Brett.",),
        (),
    ),
    (
        "35-pdf-no-tounicode/glyphs.pdf",
        ("Přehled hladin řeky Tarn za květen", "Hladina u mlýna", "is read at noon."),
        ("HKOHG",),
    ),
]


def run(*arguments: object) -> str:
    """Run a command and return its output on one line."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return " ".join(re.sub(r"\d+-\d+ +\d+ tokens.*", "", done.output).split())


@pytest.mark.parametrize(("file", "texts", "others"), READ)
def test_reading(file: str, texts: tuple[str, ...], others: tuple[str, ...]) -> None:
    shown = run("chunk", "--text", FOLDER / file)
    position = 0
    for text in texts:
        found = shown.find(text, position)
        assert found >= 0, f"{text!r} is missing after {shown[:position][-80:]!r} in {shown[:2000]!r}"
        position = found + len(text)
    assert [text for text in others if text in shown] == []


def hits(collection: Path, query: str, *options: str) -> list[str]:
    return [hit["id"] for hit in json.loads(run("search", collection, query, "--json", *options))["hits"]]


QUESTIONS = {
    "what does docker run -it do": "docker",
    "how do I use rm -rf safely": "rm",
    "tar -xf": "tar",
    'copper pipe 6" by 9"': "pipe",
    'pipe 6" x 9" shed': "pipe",
}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("case") / "tools"
    build_collection([FOLDER / "21-query-operators" / "docs.jsonl"], into)
    return into


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize("query", QUESTIONS)
def test_operators_that_are_none(tools: Path, query: str, mode: str) -> None:
    assert hits(tools, query, "--mode", mode, "-k", "2")[:1] == [QUESTIONS[query]]


TURKISH = {
    "istanbul": "123",
    "İSTANBUL": "123",
    "diyarbakır": "13",
    "DİYARBAKIR": "13",
    "ışıklar": "12",
    "IŞIKLAR": "12",
}


@pytest.fixture(scope="module")
def turkish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("case") / "turkish"
    run(
        "index",
        FOLDER / "22-turkish-case" / "tr.jsonl",
        "--into",
        into,
        "--language",
        "turkish",
    )
    return into


@pytest.mark.parametrize("query", TURKISH)
def test_turkish_letters(turkish: Path, query: str) -> None:
    assert sorted(hits(turkish, query, "--mode", "lexical", "-k", "5")) == list(TURKISH[query])


def test_colons_are_no_emoji(tmp_path: Path) -> None:
    source = FOLDER / "23-terminal-emoji" / "net.jsonl"
    run("index", source, "--into", tmp_path / "c")
    for shown in (
        run("search", tmp_path / "c", "address of the gate"),
        run("chunk", "--text", source),
    ):
        for text in (
            "Port :a: of the switch",
            "2001:db8:a:b:c:1:100:7",
            "fe80::1:b:2",
            "1:b:1",
            ":key: :id:",
        ):
            assert text in shown


@pytest.fixture(scope="module")
def served(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:  # noqa: F811
    folder = tmp_path_factory.mktemp("served")
    (folder / "c.jsonl").write_text('{"id": "a", "text": "the weir leaks"}\n')
    build_collection([folder / "c.jsonl"], folder / "root" / "c")
    build_collection([FOLDER / "29-metadata-types" / "docs.jsonl"], folder / "root" / "types")
    with serve(folder / "root") as running:
        yield running


def steps(case: str, url: str) -> dict[str, str]:
    """Run the program of a case against a service; return its answers by their names."""
    source = (FOLDER / case / "steps.py").read_text().replace(STEP_URL, url)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    found = dict(line.split(" -> ", 1) for line in done.stdout.splitlines() if " -> " in line)
    assert found, done.stderr[-2000:]
    return found


def failed(answers: dict[str, str], *right: str) -> dict[str, str]:
    return {name: answer for name, answer in answers.items() if answer.startswith("EXC") and name not in right}


def test_langchain(served: Served) -> None:
    answers = steps("24-langchain", served.url)
    assert failed(answers) == {}
    assert "'a'" in answers["partial ids"]
    assert "page three" in answers["after blank"]
    assert "'version': '1.4'" in answers["get nested"]
    assert "x.pdf" in answers["dict filter"]
    assert "the gate is shut" in answers["quote query"]


@not_yet("filters that compare the content, or a list with a list, are refused")
def test_haystack(served: Served) -> None:
    answers = steps("25-haystack", served.url)
    assert failed(answers, "FAIL", "dup in batch FAIL", "bad filters") == {}
    for name in ("FAIL", "dup in batch FAIL"):
        assert answers[name].startswith("EXC DuplicateDocumentError")
    assert answers["space field"] == answers["id field"] == answers["content field"] == "['The weir leaks.']"
    assert answers["keyword field"] == "['The gate is shut.']"
    assert answers["in empty"] == answers["unknown field"] == "[]"
    assert answers["== list"] == answers["datetime"] == answers["date iso"] == "['The weir leaks.']"
    assert "The lock opens." in answers["== None"]


NULLS: dict[str, dict[str, Any]] = {
    "/embed": {"inputs": ["a"], "normalize": None, "truncate": None},
    "/embed?": {"inputs": ["a"], "truncation_direction": None},
    "/rerank": {
        "query": "weir",
        "texts": ["a weir"],
        "raw_scores": None,
        "return_text": None,
    },
    "/v1/rerank": {
        "query": "weir",
        "documents": ["a weir"],
        "return_documents": None,
        "top_n": None,
    },
    "/v2/rerank": {"model": None, "query": "weir", "documents": ["a weir"]},
    "/v1/collections/c/search": {
        "query": "weir",
        "filter": None,
        "k": None,
        "offset": None,
        "facets": None,
    },
    "/v1/collections/c/documents?wait=true": {
        "documents": [{"id": "b", "text": "the lock", "title": None, "metadata": None}]
    },
}


@pytest.mark.parametrize("path", NULLS)
def test_null_is_a_missing_value(served: Served, path: str) -> None:
    answer = served.http.post(path, json=NULLS[path])
    assert answer.is_success, answer.text


def test_types_of_metadata(served: Served) -> None:
    def found(condition: str = "") -> dict[str, Any]:
        parameters = {"filter": condition} if condition else {}
        answer = served.http.get("/v1/collections/types/documents", params=parameters)
        assert answer.is_success, answer.text
        return {each["id"]: each["metadata"] for each in answer.json()["documents"]}

    given = [json.loads(line) for line in (FOLDER / "29-metadata-types" / "docs.jsonl").read_text().splitlines()]
    assert found() == {
        each.pop("id"): {name: value for name, value in each.items() if name != "text"} for each in given
    }
    assert list(found("years = 2019")) == ["1"]
    assert list(found("years >= 2020")) == ["1", "2"]
    assert list(found('sizes >= "9"')) == ["1", "2"]
    assert list(found("published >= 2024-05-01")) == ["1"]


def test_t5_encoders(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "34-t5-encoder" / "make.py", tmp_path)
    subprocess.run(
        [sys.executable, "make.py"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (tmp_path / "d.jsonl").write_text('{"id": "a", "text": "the weir leaks"}\n')
    for name in ("t5", "mt5"):
        run(
            "index",
            tmp_path / "d.jsonl",
            "--into",
            tmp_path / f"c-{name}",
            "--encoder",
            tmp_path / name,
        )
        assert hits(tmp_path / f"c-{name}", "weir") == ["a"]
