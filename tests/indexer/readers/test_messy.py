"""Real, untidy files: each gives its text in the right section, or its error."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from indexer.readers.base.outcomes import FileOutcome, FileStatus
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document

# File, a phrase as a reader would copy it, and the location of its section.
PHRASES = [
    ("graphrag.pdf", "Most existing algorithms struggle with population level queries", "p. 3"),
    (
        "uber_2021.pdf",
        "federal net operating loss carryforward amounts generated prior to January 1, 2018 will begin",
        "p. 35",
    ),
    ("ocr_samples.pdf", "robertson.jpg (JPEG Image, 585 × 890 pixels)", "p. 1"),
    ("demo1.pdf", "The hydrologic effect of replacing pasture or other short crops with trees", "p. 1"),
    ("introduction.pdf", "又称化学反应式、化学反应方程式，是用化学式来描述各种物质之间的不同化学反应的式子", "p. 1"),
    ("redp5110_sampled.pdf", "Leverage row permissions on the database", "p. 1"),
    ("right_to_left_01.pdf", "تعزز الإنتاجية وتساعد في إيجاد حلول فعالة للمشكلات", "p. 1"),
    ("code_and_formula.pdf", "consetetur sadipscing elitr, sed diam nonumy eirmod tempor", "p. 1"),
    (
        "multi-column.pdf",
        "question answering relies on efficient passage retrieval to select candidate contexts",
        "p. 1",
    ),
    ("multi-column.pdf", "outperforms a strong Lucene-BM25 system greatly", "p. 1"),
    ("layout-parser-paper-with-table.pdf", "Layouts of scanned US newspapers from the 20th century", "p. 1"),
    ("copy-protected.pdf", "Recent advances in document image analysis (DIA) have been primarily driven", "p. 1"),
    ("langchain.pdf", "Creating Large Language Model Applications Utilizing LangChain", "p. 1"),
    ("zh-journal-1994-caj.pdf", "发动机故障在飞行故障中占有相当大的比例", "p. 1"),
    (
        "核电厂定期安全审查指南 第1部分：通用要求（征求意见稿）.docx",
        "安全收益可通过一个或多个安全指标的变化值来衡量",
        "附录",
    ),
    ("handbook-872p.docx", "the banking institution must execute a Uniform Depository Agreement", ""),
    ("contains-pictures.docx", "A floating picture that appears on top of the text", ""),
    ("docx-tables.docx", "Header Col 1 | Header Col 2\nLorem ipsum | A link example", ""),
    ("equations.docx", "is the Pythagorean theorem", ""),
    ("wiki_duck.html", "a derivative of the verb *dūcan 'to duck, bend down low", "Etymology"),
    (
        "example-with-scripts.html",
        "Belarusian forces remain unlikely to attack Ukraine despite a snap",
        "Russian Offensive",
    ),
    ("fake-html-pre.htm", "UNITING AND STRENGTHENING AMERICA BY PROVIDING APPROPRIATE TOOLS", ""),
    ("example-steelJIS-datasheet-utf-16.html", "0.39 - 0.46 | 0.2 - 0.35 | 0.65 - 1.1", "SNB22-3"),
    ("fake-html-cp1252.html", "El restaurante tenía un menú del día.\nKvinnan åt köttbullar", "My First Heading"),
    ("schemas.html", "a string in square brackets represents some argument", "Syntax"),
    ("promise.md", "Promise 是异步编程的一种解决方案", "Promise 的含义"),
    ("刑法.md", "为了惩罚犯罪，保护人民，根据宪法", "第一编"),
    ("middleware.md", "A middleware class that emits tracing info", ""),
    ("test.txt", "我们将探讨如何使用不同的提示工程技术来实现不同的目标", ""),
    (
        "epub_purvis_poetry.epub",
        "The source text and artwork in this ebook are believed to be in the United States public domain",
        "Imprint",
    ),
    ("fake-email-image-embedded.eml", "This is a test email to use for unit tests.", ""),
    ("docling_ecosystem.pptx", "Data Prep Kit", "slide 1"),
]
PHRASED = {name for name, _, _ in PHRASES}
MENUS = {
    "wiki_duck.html": ("Random article", "Privacy policy", "Create account", "Main page"),
    "example-with-scripts.html": ("jQuery", "function(", "Skip to main content"),
    "schemas.html": ("redirect_from",),
}


@pytest.fixture(scope="module")
def messy(shared_data: Path) -> Path:
    folder = shared_data.parent / "messy"
    if not folder.is_dir():
        pytest.skip(f"needs the untidy files, and {folder} is not there")
    return folder


@pytest.fixture(scope="module")
def read(messy: Path) -> tuple[dict[str, Document], list[BadDocument], list[FileOutcome]]:
    outcomes: list[FileOutcome] = []
    items = list(open_documents(messy, on_file=outcomes.append))
    documents = {Path(item.id).name: item for item in items if isinstance(item, Document)}
    return documents, [item for item in items if isinstance(item, BadDocument)], outcomes


def test_every_file_is_read_or_an_error(read: tuple[dict[str, Document], list[BadDocument], list[FileOutcome]]) -> None:
    documents, bad, outcomes = read
    status = defaultdict(list)
    for outcome in outcomes:
        status[outcome.status].append(Path(outcome.path).name)
    assert status[FileStatus.FAILED] == ["small_ocr.pdf"]
    assert status[FileStatus.SKIPPED] == ["unstructured_logo.png"]  # attached to a mail
    assert len(status[FileStatus.READ]) == len(PHRASED) + 1  # and the table of where the files come from
    assert any("has no text layer: its 8 page(s) are pictures; read them with --ocr" in str(each) for each in bad)
    assert set(documents) >= PHRASED


@pytest.mark.parametrize(("name", "phrase", "location"), PHRASES)
def test_phrase_and_its_location(
    read: tuple[dict[str, Document], list[BadDocument], list[FileOutcome]], name: str, phrase: str, location: str
) -> None:
    document = read[0][name]
    start = document.text.find(phrase)
    assert start >= 0, document.text[:500]
    found = [section.location for section in document.sections if section.start <= start < section.end]
    assert not location or (found and location in found[0]), found


@pytest.mark.parametrize("name", MENUS)
def test_no_menus(read: tuple[dict[str, Document], list[BadDocument], list[FileOutcome]], name: str) -> None:
    assert [words for words in MENUS[name] if words in read[0][name].text] == []


def test_languages(read: tuple[dict[str, Document], list[BadDocument], list[FileOutcome]]) -> None:
    found = {name: document.metadata.get("language") for name, document in read[0].items()}
    assert found["right_to_left_01.pdf"] == "ar"
    assert found["刑法.md"] == found["zh-journal-1994-caj.pdf"] == "zh"
    assert found["uber_2021.pdf"] == found["wiki_duck.html"] == "en"
