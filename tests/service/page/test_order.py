"""Answers that come late, out of order or not at all, and clicks that come too fast."""

from __future__ import annotations

from typing import Any

import pytest

BUSY = {"title": "Too Many Requests", "detail": "the queue is full"}


class Held:
    """Requests whose answers wait; `wanted` chooses by the body."""

    def __init__(self, page: Any, pattern: str, wanted: Any) -> None:
        self.routes: list[Any] = []
        self.wanted = wanted
        page.route(pattern, self.take)

    def take(self, route: Any) -> None:
        if self.wanted(route.request.post_data_json):
            self.routes.append(route)
        else:
            route.continue_()

    def release(self) -> None:
        for route in self.routes:
            route.continue_()


def wait_held(page: Any, held: Held) -> None:
    for _ in range(100):
        if held.routes:
            return
        page.wait_for_timeout(20)
    raise AssertionError("nothing was asked")


def test_the_map_shows_what_stands_in_the_box(visit: Any, site: str) -> None:
    page = visit(f"{site}/collection?c=unusual", expect_trouble=True)
    page.wait_for_selector(".map")
    held = Held(page, "**/search", lambda body: body["query"] == "flour")
    page.fill("#q", "flour")
    wait_held(page, held)
    page.fill("#q", "bread")
    page.wait_for_selector("text=10 of the 10 best hits are in this sample")
    page.fill("#q", "")
    page.wait_for_function("() => document.querySelector('.map-label').textContent === ''")
    held.release()
    page.wait_for_timeout(200)
    assert page.inner_text(".map-label") == ""
    page.route("**/search", lambda route: route.fulfill(status=429, json=BUSY))
    page.fill("#q", "water")
    page.wait_for_selector(".map-label >> text=the queue is full")


def test_the_collection_is_described_before_its_map_comes(visit: Any, site: str) -> None:
    page = visit("about:blank")
    held = Held(page, "**/projection", lambda _: True)
    page.goto(f"{site}/collection?c=unusual")
    page.wait_for_selector(".figures")
    page.wait_for_selector("text=Placing the vectors")
    wait_held(page, held)
    held.release()
    page.wait_for_selector(".map")


def test_attention_shows_the_layer_chosen_last(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=unusual&q=bread&why=flour")
    page.click("role=tab[name='Attention']")
    page.wait_for_selector(".head-picture")
    held = Held(page, "**/attention", lambda body: body["layer"] == 1)
    page.select_option("role=combobox[name='Layer']", "1")
    wait_held(page, held)
    page.select_option("role=combobox[name='Layer']", "5")
    share = "() => document.querySelector('.attention-view .passage-word').title"
    before = page.evaluate(share)
    page.wait_for_function(f"before => ({share})() !== before", arg=before)
    shown = page.evaluate(share)
    held.release()
    page.wait_for_timeout(200)
    assert page.evaluate(share) == shown
    assert page.input_value("role=combobox[name='Layer']") == "5"
    page.focus(".head-picture >> nth=3")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "head 3"


def test_side_by_side_follows_the_side_that_answers(visit: Any, site: str) -> None:
    page = visit(f"{site}/side-by-side?c=unusual&q=bread", expect_trouble=True)
    page.wait_for_selector(".lines path")
    wrong = "kind = 'no service'"
    page.route(
        "**/search", lambda route: route.abort() if wrong in (route.request.post_data or "") else route.continue_()
    )
    page.fill("role=textbox[name='Right: filter']", wrong)
    page.wait_for_selector("[aria-label='Right hits'] .warn")
    page.fill("#q", "flour")
    first = "document.querySelector(\"[aria-label='Left hits'] .hit\")?.dataset.id"
    page.wait_for_function(f"() => {first} === 'flour'")
    assert page.locator(".lines path").count() == 0
    assert page.inner_text(".status") == ""
    page.fill("role=textbox[name='Right: filter']", "")
    page.wait_for_selector(".lines path")
    page.hover("[aria-label='Left hits'] .hit >> nth=0")
    assert page.locator(".lines path.lit").count() == 1
    page.fill("#q", "")
    page.wait_for_selector(".hit", state="detached")
    assert page.locator(".lines path").count() == 0
    assert page.inner_text(".status") == ""


def test_half_a_filter_is_not_sent_side_by_side(visit: Any, site: str) -> None:
    page = visit(f"{site}/side-by-side?c=unusual&q=bread")
    page.wait_for_selector(".lines path")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json))
    page.locator("role=textbox[name='Left: filter']").press_sequentially('kind = "note"', delay=20)
    page.wait_for_function("() => document.querySelectorAll(\"[aria-label='Left hits'] .hit\").length === 2")
    assert {each["filter"] for each in asked} == {'kind = "note"', ""}


@pytest.mark.parametrize("path", ["/?c=unusual&q=bread", "/side-by-side?c=unusual&q=bread"])
@pytest.mark.parametrize("refused", ["**/search", "**/v1/collections"])
def test_a_busy_service_is_asked_again(visit: Any, site: str, path: str, refused: str) -> None:
    page = visit("about:blank", expect_trouble=True)
    left = iter([503, 429])

    def answer(route: Any) -> None:
        status = next(left, None)
        route.fulfill(status=status, json=BUSY) if status else route.continue_()

    page.route(refused, answer)
    page.goto(site + path)
    page.wait_for_selector("text=the queue is full")
    page.wait_for_selector(".hit")
    assert page.locator("text=the queue is full").count() == 0


def test_the_service_is_not_asked_before_it_says(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=unusual&q=bread", expect_trouble=True)
    page.wait_for_selector(".hit")
    page.route("**/search", lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}, json=BUSY))
    asked: list[Any] = []
    page.on("request", lambda request: '"query":"flour"' in (request.post_data or "") and asked.append(request.url))
    page.fill("#q", "flour")
    page.wait_for_selector("text=the queue is full")
    page.wait_for_timeout(1500)
    assert len(asked) == 1


def test_a_failed_start_leaves_no_second_view(visit: Any, site: str) -> None:
    page = visit("about:blank", expect_trouble=True)
    left = iter([500])
    page.route(
        "**/v1/collections/unusual",
        lambda route: route.fulfill(status=500, json=BUSY) if next(left, None) else route.continue_(),
    )
    page.goto(f"{site}/?c=unusual&q=bread")
    page.click("text=Try again")
    page.wait_for_selector(".hit")
    assert page.locator("#q").count() == 1
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".why .query-word")


def test_clicks_that_come_too_fast(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=unusual&q=bread")
    page.wait_for_selector(".hit")
    click = "selector => { for (let n = 0; n < 3; n++) document.querySelector(selector).click(); }"
    page.evaluate(click, ".why-button")
    page.wait_for_selector(".why .query-word")
    assert page.locator(".why").count() == 1
    page.evaluate(click, "#judging")
    page.wait_for_selector(".grades")
    assert page.is_visible(".judgments")
    assert page.locator(".why").count() == 1  # what was open stays open
    page.uncheck("#judging")
    page.wait_for_selector(".grades", state="detached")
    assert page.is_hidden(".judgments")
    assert page.locator(".why").count() == 1


def test_a_hit_is_judged_for_the_query_that_it_answers(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, grace_seconds=0) as served:
        page = visit(f"{served.url}/?c=unusual&q=bread", expect_trouble=True)
        page.wait_for_selector(".hit")
        page.check("#judging")
        page.wait_for_selector("text=Give hits 0 to 3")
        page.route("**/search", lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}, json=BUSY))
        page.fill("#q", "flour")
        page.wait_for_selector("text=the queue is full")
        page.click("[data-grade='3'] >> nth=0")
        page.wait_for_selector("text=1 judgment of 1 query")
        assert page.text_content(".judgments details td") == "bread"
        page.click("[data-grade='3'] >> nth=0")
        page.wait_for_selector("text=Give hits 0 to 3")
        page.goto("about:blank")


def test_judging_keeps_what_is_clicked_in_place(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, grace_seconds=0) as served:
        page = visit(f"{served.url}/?c=unusual&q=bread", expect_trouble=True)
        page.wait_for_selector(".hit")
        page.check("#judging")
        page.wait_for_selector("text=Give hits 0 to 3")
        top = "document.querySelector('.grades').getBoundingClientRect().top"
        before = page.evaluate(top)
        page.click("[data-grade='3'] >> nth=0")
        page.wait_for_selector("text=over 1 judged query")
        assert page.evaluate(top) == before
        page.click("text=All judgments")
        held = Held(page, "**/measures", lambda _: True)
        page.click("[data-grade='1'] >> nth=5")
        wait_held(page, held)
        assert "over 1 judged query" in page.inner_text(".judgments")  # until the new figures come
        assert page.evaluate("document.querySelector('.judgments details').open")
        page.route("**/judgments", lambda route: route.fulfill(status=503, json=BUSY))
        page.click("[data-grade='0'] >> nth=6")
        page.wait_for_selector(".judgments .warn >> text=the queue is full")
        page.unroute("**/judgments")
        for each in ("[data-grade='3'] >> nth=0", "[data-grade='1'] >> nth=5"):
            page.click(each)
        page.wait_for_selector("text=Give hits 0 to 3")
        page.goto("about:blank")
