"""Filters that the page writes: a click narrows, whatever the filter and the value, and another takes it back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

CHIP = "text => [...document.querySelectorAll('button.chip')].find(each => each.textContent === text).click()"


def search(visit: Any, site: str, filter_: str = "", **settings: Any) -> Any:
    page = visit(f"{site}/?c=unusual&q=bread&f={quote(filter_)}", **settings)
    page.wait_for_selector(".facets button", state="attached")
    return page


def until_filter(page: Any, filter_: str) -> None:
    page.wait_for_function("wanted => document.querySelector('#filter').value === wanted", arg=filter_)


def until_hits(page: Any, *ids: str) -> None:
    shown = "[...document.querySelectorAll('.hit')].map(each => each.dataset.id).sort().join()"
    page.wait_for_function(f"wanted => {shown} === wanted", arg=",".join(sorted(ids)))


@pytest.mark.parametrize(
    ("value", "condition", "hit"),
    [
        ("R AND D", 'tags = "R AND D"', "../up"),
        ('say "hi"', r'tags = "say \"hi\""', "../up"),
        ("tab\there", 'tags = "tab\there"', "."),
        ("back\\slash", r'tags = "back\\slash"', "."),
    ],
)
def test_a_value_narrows_and_is_taken_back(visit: Any, site: str, value: str, condition: str, hit: str) -> None:
    page = search(visit, site)
    page.evaluate(CHIP, f"tags {value}")
    until_filter(page, condition)
    until_hits(page, hit)
    page.evaluate(CHIP, f"tags {value}")
    until_filter(page, "")


def test_alternatives_are_narrowed_together(visit: Any, site: str) -> None:
    page = search(visit, site, "year < 1992 OR year > 2020")
    until_hits(page, "a/../b", "flour", "salt", "time")
    page.click(".facets section:has(h2:text-is('kind')) button:has-text('note')")
    until_filter(page, '(year < 1992 OR year > 2020) AND kind = "note"')
    until_hits(page, "flour", "salt")
    page.click(".facets button[aria-pressed=true]")
    until_filter(page, "(year < 1992 OR year > 2020)")


def count_of(page: Any, field: str) -> dict[str, str]:
    """Return the values of a facet and their counts, as they are shown."""
    rows = page.locator(f".facets section:has(h2:text-is('{field}')) button")
    return dict(text.split("\n") for text in rows.all_inner_texts())


def test_values_of_a_facet_are_alternatives_and_keep_their_counts(visit: Any, site: str) -> None:
    page = search(visit, site)
    before = count_of(page, "kind")
    for value, filter_, found, pressed in (
        ("note", 'kind = "note"', ["flour", "salt"], 1),
        ("paper", 'kind IN ["note", "paper"]', ["flour", "salt", "time", "water"], 2),
        ("note", 'kind = "paper"', ["time", "water"], 1),
    ):
        page.click(f".facets section:has(h2:text-is('kind')) button:has-text('{value}')")
        until_filter(page, filter_)
        until_hits(page, *found)
        page.wait_for_function(f"() => document.querySelectorAll('.facets [aria-pressed=true]').length === {pressed}")
        assert count_of(page, "kind") == before


def test_a_range_of_numbers_narrows_and_is_taken_back(visit: Any, site: str) -> None:
    page = search(visit, site, "kind EXISTS")
    year = ".facets section:has(h2:text-is('year')) button"
    page.wait_for_selector(year)
    before = {"below 2000": "2", "2020 and above": "2"}
    assert count_of(page, "year") == before
    for label, filter_, found in (
        ("below 2000", "kind EXISTS AND year < 2000", ["flour", "water"]),
        ("2020 and above", "kind EXISTS AND year >= 2020", ["salt", "time"]),
        ("2020 and above", "kind EXISTS", ["flour", "hebrew", "salt", "time", "water", "wide"]),
    ):
        page.click(f"{year}:has-text('{label}')")
        until_filter(page, filter_)
        until_hits(page, *found)
        page.wait_for_selector("[aria-busy]", state="detached")
    page.wait_for_function("() => !document.querySelector('.facets [aria-pressed=true]')")
    assert count_of(page, "year") == before


def test_only_the_value_chosen_is_shown_as_pressed(visit: Any, site: str) -> None:
    page = search(visit, site, 'subkind = "note" OR kind = "note"')
    assert page.locator(".facets [aria-pressed=true]").count() == 0
    page = search(visit, site, 'subkind = "note"')
    page.wait_for_selector(".facets [aria-pressed=true]")
    pressed = page.locator("section:has(> ul [aria-pressed=true]) > h2")
    assert pressed.all_inner_texts() == ["subkind"]


def test_narrowing_keeps_the_focus_and_stays_open_on_a_phone(visit: Any, site: str) -> None:
    page = search(visit, site, viewport={"width": 360, "height": 740})
    page.click(".facets summary")
    page.click(".facets button:has-text('note') >> nth=0")
    page.wait_for_selector(".facets [aria-pressed=true]")
    assert page.evaluate("document.querySelector('.facets details').open")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ('tags = "say', r'tags = "say \"hi\""'),
        ('tags = "R AN', 'tags = "R AND D"'),
        ('tags IN ["R AND D", "back', r'tags IN ["R AND D", "back\\slash"'),
        ("añ", "año"),
        ('"sub', "subkind"),
    ],
)
def test_completion_reads_quotes_and_all_letters(visit: Any, site: str, typed: str, completed: str) -> None:
    page = search(visit, site, expect_trouble=True)  # half a filter is refused
    page.focus("#filter")
    page.keyboard.type(typed)
    page.wait_for_function("() => document.querySelectorAll('.completions:not([hidden]) li').length === 1")
    page.keyboard.press("ArrowUp")  # the last one
    page.keyboard.press("Enter")
    assert page.input_value("#filter") == f"{completed} "


def test_the_filter_is_blamed_for_what_is_wrong_with_it_only(visit: Any, site: str) -> None:
    page = search(visit, site, expect_trouble=True)
    page.fill("#filter", "kind =")
    page.wait_for_selector("#filter[aria-invalid=true]")
    assert page.locator(".hit").count() == 10  # they answer the query that stands there
    page.fill("#q", "flour")
    until_hits(page)
    page.fill("#q", "")
    page.wait_for_selector("#filter-error", state="hidden")
    page.wait_for_selector("text=10 documents")
    refusal = {"title": "Bad Request", "detail": "too many words", "code": "bad_query"}
    page.route("**/search", lambda route: route.fulfill(status=400, json=refusal))
    page.fill("#q", "flour")
    page.wait_for_selector(".status >> text=too many words")
    assert page.is_hidden("#filter-error")


LATE_REFUSAL = """() => {
    window.fetch = async (address, { signal, body }) => new Response(new ReadableStream({ start(controller) {
        signal.addEventListener("abort", () => {
            controller.error(signal.reason);
            if (body?.includes("flour")) setTimeout(() => (window.refused = true));
        });
    } }), { status: 400 });
}
"""


def test_the_refusal_of_a_query_that_no_longer_stands_there_is_not_shown(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.wait_for_selector("[aria-busy]", state="detached")
    page.evaluate(LATE_REFUSAL)
    page.fill("#q", "flour")
    page.wait_for_selector("main[aria-busy=true]")
    page.fill("#q", "")
    page.wait_for_function("() => window.refused")
    assert "10 documents" in page.inner_text(".status")
