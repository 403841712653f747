"""Where things stand on the page, what a click opens, and which words are marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.building.pipeline import build_collection

GUIDES = "&f=kind+%3D+%22guide%22"
PHONE = {"width": 390, "height": 844}
LONG_TITLE = (
    "How to bake a good loaf of bread at home when you have neither a mixer nor a stone, only a pot and patience"
)
FILLER = "The committee met on Tuesday and discussed the budget of the library, its opening hours, and a new roof. "
BAKING = "How do I bake bread at home? Bake the bread in a hot pot with a lid, i.e. a casserole, for half an hour. "
MENTION = "The baker baked bread for the meeting, and a member of the board took it home. "
DOCUMENTS = [
    {
        "id": "guides/bread.md",
        "title": LONG_TITLE,
        "text": FILLER * 10 + MENTION + FILLER * 50 + BAKING + FILLER * 30,
        "kind": "guide",
        "year": 2020,
    },
    {"id": "chinese", "title": "如何在家里烤出好吃的面包" * 4, "text": "面包师在早上烤面包。" * 30, "kind": "guide"},
    *({"id": f"note-{n}", "title": f"Note {n}", "text": f"{BAKING} Number {n}.", "kind": "note"} for n in range(10)),
]


@pytest.fixture(scope="module")
def kitchen(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("kitchen")
    (root / "source.jsonl").write_text("".join(json.dumps(each) + "\n" for each in DOCUMENTS))
    build_collection([root / "source.jsonl"], root / "collections" / "kitchen")
    with serve(root / "collections") as served:
        yield f"{served.url}/?c=kitchen&q=how+do+I+bake+bread+at+home"


def test_a_click_opens_the_passage_that_was_hit(visit: Any, kitchen: str) -> None:
    """It stands far below the first mention of the query's words."""
    page = visit(kitchen + GUIDES)
    hit = '[data-id="guides/bread.md"]'
    page.wait_for_selector(f"{hit} mark.meaning")
    assert "hot pot" in page.inner_text(f"{hit} .passage")
    page.click(f"{hit} .title")
    page.wait_for_selector("dialog mark.best-mark")
    visible = page.evaluate(
        """() => {
            const { top, bottom } = document.querySelector('.sheet').getBoundingClientRect();
            const at = (each) => each.getBoundingClientRect().top;
            return [...document.querySelectorAll('dialog mark.best-passage')]
                .filter((each) => at(each) > top && at(each) < bottom).map((each) => each.textContent).join('');
        }"""
    )
    assert "hot pot" in visible
    assert page.evaluate("document.querySelector('.sheet').scrollTop") > 0


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("document", ["guides/bread.md", "chinese"])
def test_rank_and_score_stand_at_the_first_line_of_a_title(visit: Any, kitchen: str, width: int, document: str) -> None:
    page = visit(kitchen + GUIDES, viewport={"width": width, "height": 900})
    page.wait_for_selector(f'[data-id="{document}"] .title')
    middles = """(hit) => ['.title', '.rank', '.score strong'].map((part) => {
        const range = document.createRange();
        range.selectNodeContents(hit.querySelector(part));
        const { top, bottom } = range.getClientRects()[0]; // of the first line
        return (top + bottom) / 2;
    })"""
    title, *others = page.eval_on_selector(f'[data-id="{document}"]', middles)
    assert [other for other in others if abs(other - title) >= 3] == []


@pytest.mark.parametrize("width", [390, 800, 1280, 1700])
def test_header_and_content_are_aligned(visit: Any, kitchen: str, width: int) -> None:
    page = visit(kitchen, viewport={"width": width, "height": 900})
    page.wait_for_selector(".hit")
    left = "each => each.getBoundingClientRect().left"
    assert page.eval_on_selector("#top .mark", left) == page.eval_on_selector("#q", left)
    right = "each => each.getBoundingClientRect().right"
    assert page.eval_on_selector("#top > button:last-of-type", right) == page.eval_on_selector("#q", right)


def test_a_phone_shows_the_first_hit_in_its_upper_half(visit: Any, kitchen: str) -> None:
    page = visit(kitchen, viewport=PHONE, has_touch=True)
    page.wait_for_selector(".facets summary")
    page.wait_for_selector(".hit mark")
    assert page.eval_on_selector(".hit", "each => each.getBoundingClientRect().top") < PHONE["height"] / 2
    middle = "each => each.getBoundingClientRect().top + each.getBoundingClientRect().height / 2"
    assert abs(page.eval_on_selector("#theme", middle) - page.eval_on_selector("#top .mark", middle)) < 3


def test_the_options_open_on_a_phone(visit: Any, kitchen: str) -> None:
    page = visit(kitchen, viewport=PHONE, has_touch=True)
    page.wait_for_selector(".hit")
    assert not page.is_visible("#filter")
    page.click("text=Options")
    assert page.is_visible("#filter")
    assert page.get_attribute(".more", "aria-expanded") == "true"
    page.fill("#filter", 'kind = "guide"')
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 2")
    page.wait_for_url("**&f=**")
    page.reload()
    page.wait_for_selector(".hit")
    assert page.is_visible("#filter")


def test_words_without_meaning_are_not_marked(visit: Any, kitchen: str) -> None:
    page = visit(kitchen)
    page.wait_for_selector(".hit mark.word")
    page.wait_for_selector('[data-id="note-3"] mark.word')
    words = {text.lower() for text in page.locator(".hit mark.word").all_inner_texts()}
    assert {"bread", "bake"} <= words
    assert words.isdisjoint({"i", "i.e", "do", "at", "how", "a"})


def test_no_paragraph_is_marked_as_a_whole(visit: Any, kitchen: str) -> None:
    page = visit(kitchen)
    page.wait_for_selector('[data-id="note-3"] mark.meaning')
    lengths = page.eval_on_selector_all(".hit mark.meaning", "all => all.map((each) => each.textContent.length)")
    assert 0 < max(lengths) < 140


@pytest.mark.parametrize("half", ['kind = "gui', 'kind = "gui"', "kind", "year >"])
def test_half_a_filter_keeps_the_hits(visit: Any, kitchen: str, half: str) -> None:
    """It may be wrong or match nothing as yet."""
    page = visit(kitchen, expect_trouble=True)
    page.wait_for_selector(".hit")
    with page.expect_response("**/search"):
        page.fill("#filter", half)
    page.wait_for_selector("#filter[aria-invalid], .columns.stale")
    assert page.locator(".hit").count() == 10
    if 'gui"' in half:
        page.press("#filter", "Enter")
        page.wait_for_selector("text=Nothing matched")


def test_half_a_filter_keeps_the_hits_side_by_side(visit: Any, kitchen: str) -> None:
    page = visit(kitchen.replace("/?", "/side-by-side?"), expect_trouble=True)
    page.wait_for_selector(".lines path", state="attached")
    page.fill("role=textbox[name='Left: filter']", "kind =")
    page.wait_for_selector(".side .error:visible")
    assert page.locator("[aria-label='Left hits'] .hit").count() == 10


def test_the_shares_side_by_side_are_those_of_the_service(visit: Any, kitchen: str) -> None:
    page = visit(kitchen.replace("/?", "/side-by-side?"))
    page.wait_for_selector(".lines path", state="attached")
    choices = json.loads(page.get_attribute("body", "data-weight"))["choices"]
    options = page.eval_on_selector_all("[aria-label='Left: share of meaning'] option", "all => all.map(o => o.value)")
    assert options == ["", *(f"{choice:g}" for choice in choices)]
