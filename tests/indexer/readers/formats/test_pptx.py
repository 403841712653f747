"""Presentations: slides, diagrams, and charts."""

from __future__ import annotations

from pathlib import Path

from tests.indexer.readers.reading import read_one
from tests.indexer.readers.samples import RELS, packed

DRAW = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'


SLIDE = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'


def test_pptx(tmp_path: Path) -> None:
    def slide(title: str, text: str) -> str:
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
            f"<p:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>"
            for kind, words in (("body", text), ("title", title), ("sldNum", "7"))
        )
        return f"<p:sld {SLIDE} {DRAW}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"

    ids = '<p:sldId r:id="r2"/><p:sldId r:id="r1"/>'
    links = "".join(f'<Relationship Id="r{n}" Target="slides/slide{n}.xml"/>' for n in (1, 2))
    (tmp_path / "s.pptx").write_bytes(
        packed(
            {
                "[Content_Types].xml": "<Types/>",
                "ppt/presentation.xml": f"<p:show {SLIDE} {RELS}><p:sldIdLst>{ids}</p:sldIdLst></p:show>",
                "ppt/_rels/presentation.xml.rels": f"<Relationships>{links}</Relationships>",
                "ppt/slides/slide1.xml": slide("Second", "after"),
                "ppt/slides/slide2.xml": slide("First", "before"),
            }
        )
    )
    document = read_one(tmp_path / "s.pptx")
    assert document.text == "First\n\nbefore\n\nSecond\n\nafter"
    assert [section.location for section in document.sections] == ["slide 1", "slide 2"]
    assert document.title == "First"


def test_slides_with_diagrams_and_charts(tmp_path: Path) -> None:
    ids = '<p:sldId r:id="r1"/><p:sldId r:id="r2"/>'
    title = (
        '<p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr><a:p><a:r><a:t>First</a:t></a:r></a:p></p:sp>'
    )
    links = '<R><R Id="r1" Target="slides/1.xml"/><R Id="r2" Target="slides/2.xml"/></R>'
    slides = f"<p:sld {SLIDE} {DRAW}>{title}</p:sld>", f"<p:sld {SLIDE} {DRAW}/>"
    values = "".join(f"<pt><v>{name}</v></pt>" for name in ("East", "West"))
    chart = f"<chartSpace><chart><ser><tx><pt><v>Turnover</v></pt></tx><cat>{values}</cat></ser></chart></chartSpace>"
    relations = (
        '<R><R Id="a" Type="x/diagramData" Target="../diagrams/data1.xml"/>'
        '<R Id="b" Type="x/chart" Target="../charts/chart1.xml"/></R>'
    )
    parts = {
        "[Content_Types].xml": "<Types/>",
        "ppt/presentation.xml": f"<p:show {SLIDE} {RELS}><p:sldIdLst>{ids}</p:sldIdLst></p:show>",
        "ppt/_rels/presentation.xml.rels": links,
        "ppt/slides/1.xml": slides[0],
        "ppt/slides/2.xml": slides[1],
        "ppt/slides/_rels/2.xml.rels": relations,
        "ppt/diagrams/data1.xml": f"<m {DRAW}><a:p><a:t>step one</a:t></a:p><a:p><a:t>step two</a:t></a:p></m>",
        "ppt/charts/chart1.xml": chart,
    }
    (tmp_path / "s.pptx").write_bytes(packed(parts))
    document = read_one(tmp_path / "s.pptx")
    assert document.text == "First\n\nstep one\nstep two\n\nTurnover\nEast | West"
    assert [(s.location, s.heading) for s in document.sections] == [("slide 1", ""), ("slide 2", "")]


def presentation(*slides: str) -> bytes:
    links = "".join(f'<R Id="r{number}" Target="slides/{number}.xml"/>' for number in range(len(slides)))
    ids = "".join(f'<p:sldId r:id="r{number}"/>' for number in range(len(slides)))
    parts = {f"ppt/slides/{number}.xml": slide for number, slide in enumerate(slides)}
    show = f"<p:show {SLIDE} {RELS}><p:sldIdLst>{ids}</p:sldIdLst></p:show>"
    relations = f"<R>{links}</R>"
    names = {"ppt/presentation.xml": show, "ppt/_rels/presentation.xml.rels": relations}
    return packed({"[Content_Types].xml": "<Types/>", **names, **parts})


def slide_of(body: str, attributes: str = "") -> str:
    return f'<p:sld {SLIDE} {DRAW} xmlns:mc="m" {attributes}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:sld>'


def shape(text: str) -> str:
    return f"<p:sp><p:nvSpPr><p:nvPr/></p:nvSpPr><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sp>"


def test_hidden_slides_alternatives_and_line_breaks(tmp_path: Path) -> None:
    once = shape("Chosen once")
    choice = (
        f"<mc:AlternateContent><mc:Choice>{once}</mc:Choice><mc:Fallback>{once}</mc:Fallback></mc:AlternateContent>"
    )
    inside = choice.replace(once, "<a:r><a:t>, and here</a:t></a:r>")
    choice = choice.replace("</a:r></a:p>", f"</a:r>{inside}</a:p>", 1)
    hidden, seen = slide_of(shape("unseen"), 'show="0"'), slide_of(choice + shape("first_x000B_second"))
    (tmp_path / "s.pptx").write_bytes(presentation(hidden, seen))
    document = read_one(tmp_path / "s.pptx")
    assert document.text == "Chosen once, and here\n\nfirst\nsecond"
    assert [section.location for section in document.sections] == ["slide 2"]
    (tmp_path / "h.pptx").write_bytes(presentation(hidden))
    assert read_one(tmp_path / "h.pptx").text == "unseen"
