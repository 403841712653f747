"""Documents and settings that are seldom met: odd ids, long words, other scripts, exactly a page, no storage."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.service.page.conftest import UNUSUAL

TITLES = {each["id"]: each["title"] for each in UNUSUAL}
NO_STORAGE = """Object.defineProperty(window, 'sessionStorage', {
    get() { throw new DOMException('denied', 'SecurityError'); },
})"""
SELDOM = """(() => {
    const replace = history.replaceState;
    let left = 3;
    history.replaceState = function (...given) {
        if (left-- <= 0) throw new DOMException('too often', 'SecurityError');
        return replace.apply(this, given);
    };
})()"""


def search(visit: Any, site: str, query: str = "bread", **settings: Any) -> Any:
    page = visit(f"{site}/?c=unusual&q={query}", **settings)
    page.wait_for_selector(".hit")
    return page


@pytest.mark.parametrize("document", ["../up", ".", "a/../b", "b"])
def test_the_document_clicked_is_the_one_that_opens(visit: Any, site: str, document: str) -> None:
    page = search(visit, site)
    page.click(f'[data-id="{document}"] .title')
    page.wait_for_selector("dialog h2")
    assert page.inner_text("dialog h2") == TITLES[document]
    assert page.inner_text("dialog dd >> nth=0") == document


def test_a_dialog_closes_beside_it_only(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.dblclick('[data-id="flour"] .title', delay=100)  # the second click may hit what the first one opened
    page.wait_for_selector("dialog .text")
    assert page.locator("dialog").count() == 1
    page.wait_for_timeout(600)
    sheet = page.locator("dialog").bounding_box()
    page.mouse.click(sheet["x"] + 5, sheet["y"] + 5)
    text = page.locator("dialog .text").bounding_box()
    page.mouse.move(text["x"] + 50, text["y"] + 10)
    page.mouse.down()
    page.mouse.move(5, text["y"] + 12)
    page.mouse.up()
    page.wait_for_timeout(100)
    assert page.locator("dialog[open]").count() == 1
    page.mouse.click(5, 5)
    page.wait_for_selector("dialog", state="detached")


def test_exactly_a_page_has_no_other(visit: Any, site: str) -> None:
    page = search(visit, site)
    assert page.locator(".hit").count() == len(UNUSUAL) == 10
    assert page.locator("text=More hits").count() == 0
    assert page.inner_text(".status [role=status]") == "10 hits"
    page = visit(f"{site}/?c=unusual&q=bread&p=2")
    page.wait_for_selector("text=No more hits.")


def test_a_page_step_focuses_its_first_hit(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=python&q=string")
    page.wait_for_selector(".hit")
    page.click("text=More hits")
    page.wait_for_function("() => document.activeElement.querySelector?.('.rank')?.textContent === '11'")
    assert page.inner_text(".status [role=status]") == "hits 11 to 20"


def test_a_document_leads_to_similar_ones(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=python&q=remove whitespace")
    page.click('[data-id="str.rstrip"] h2 button')
    page.click(".similar > button")
    page.click(".similar li button >> nth=0")
    page.wait_for_function("() => !document.querySelector('dialog[open] h2')?.textContent.includes('rstrip')")
    assert "str." in page.inner_text("dialog[open] dl")
    page.wait_for_selector(".similar > button")


def test_pages_of_all_documents_have_numbers(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=python&q=*")
    page.click(".pages button >> text=3")
    page.wait_for_function("() => document.activeElement.querySelector?.('.rank')?.textContent === '21'")
    page.wait_for_selector(".pages button[aria-current=page] >> text=3")
    last = page.locator(".pages button").last
    last.click()
    page.wait_for_selector("text=More hits", state="detached")


def test_documents_listed_without_words_have_no_explanation(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=python&q=*")
    page.click(".hit .title >> nth=0")
    page.wait_for_selector("dialog .text")  # the console would report the refusal of an explanation
    assert page.locator(".why-button").count() == 0


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("path", ["/?c=unusual&q=bread", "/side-by-side?c=unusual&q=bread", "/collection?c=unusual"])
def test_nothing_is_wider_than_the_screen(visit: Any, site: str, path: str, width: int) -> None:
    page = visit(site + path, viewport={"width": width, "height": 640})
    page.wait_for_selector(".hit, .map")
    page.wait_for_timeout(300)
    beyond = """[...document.querySelectorAll('main *, #top *')].filter(each => !each.closest('.scroll, svg, .chip *'))
        .filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 80))"""
    assert page.evaluate(beyond) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_long_word_is_cut(visit: Any, site: str) -> None:
    page = search(visit, site)
    assert len(page.inner_text('[data-id="wide"] .passage')) < 520
    page.click('[data-id="wide"] .title')
    page.wait_for_selector("dialog .text")
    assert page.evaluate("(sheet => sheet.scrollWidth <= sheet.clientWidth)(document.querySelector('.sheet'))")


def test_text_runs_the_way_it_is_written(visit: Any, site: str) -> None:
    page = search(visit, site)
    direction = "each => getComputedStyle(each).direction"
    assert page.eval_on_selector('[data-id="hebrew"] .title', direction) == "rtl"
    assert page.eval_on_selector('[data-id="hebrew"] .passage', direction) == "rtl"
    assert page.eval_on_selector('[data-id="flour"] .passage', direction) == "ltr"


def test_the_title_says_what_is_looked_at(visit: Any, site: str) -> None:
    page = search(visit, site)
    assert page.title() == "bread · Search · unusual · Attendex"
    assert page.inner_text("h1") == "Search"
    page.goto(f"{site}/side-by-side?c=unusual&q=bread")
    page.wait_for_selector(".hit")
    assert page.title() == "bread · Side by side · unusual · Attendex"
    page.goto(f"{site}/collection?c=unusual")
    page.wait_for_selector(".map")
    assert page.title() == "Collection · unusual · Attendex"


def test_enter_makes_a_step_to_go_back_to(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=unusual")
    page.wait_for_selector(".status strong")
    for query in ("flour", "water"):
        page.fill("#q", query)
        page.keyboard.press("Enter")
        page.wait_for_function("wanted => document.querySelector('.hit')?.dataset.id === wanted", arg=query)
    page.go_back()
    page.wait_for_function("() => document.querySelector('.hit')?.dataset.id === 'flour'")
    assert page.input_value("#q") == "flour"


def test_a_browser_that_refuses_addresses_is_searched_in(visit: Any, site: str) -> None:
    page = visit("about:blank")
    page.add_init_script(SELDOM)
    page.goto(f"{site}/?c=unusual&q=bread")
    page.wait_for_selector(".hit")
    for word in ("flour", "water", "salt", "time", "flour", "water"):
        page.fill("#q", word)
        page.wait_for_timeout(350)  # a pause, at which the address is written
    page.wait_for_function("() => document.querySelector('.hit').dataset.id === 'water'")


def test_typing_writes_the_address_once(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.evaluate("window.written = 0; history.replaceState = () => { window.written++; }; null")
    page.evaluate("""() => {
        const box = document.querySelector('#q');
        for (const letter of ' and flour') {
            box.value += letter;
            box.dispatchEvent(new Event('input'));
        }
    }""")
    page.wait_for_timeout(500)
    assert page.evaluate("window.written") == 1


def test_a_query_too_long_for_an_address_is_left_out(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.fill("#q", "面包" * 1000)
    page.wait_for_function("() => !location.search.includes('q=')")
    page.reload()
    page.wait_for_selector("text=10 documents")


def test_an_address_with_nonsense_is_searched_all_the_same(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=unusual&q=bread&mode=magic&sort=none&w=7&p=x")
    page.wait_for_selector(".hit")
    assert page.input_value("role=combobox[name='Order']") == ""


def test_a_page_that_is_left_keeps_the_name_of_its_collection(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.evaluate(
        "() => { document.querySelector('#collection').value = 'python'; dispatchEvent(new Event('pagehide')); }"
    )
    assert page.input_value("#collection") == "unusual"


def test_a_hit_that_has_the_focus_keeps_it(visit: Any, site: str) -> None:
    page = search(visit, site)
    page.focus('[data-id="flour"]')
    page.evaluate("""() => {
        const box = document.querySelector('#q');
        box.value = 'bread and flour';
        box.dispatchEvent(new Event('input'));
    }""")
    page.wait_for_function("() => document.title.startsWith('bread and flour')")
    page.wait_for_timeout(300)
    assert page.evaluate("document.activeElement.dataset.id") == "flour"


def test_storage_may_be_forbidden(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, api_key="open-sesame-open-sesame", grace_seconds=0) as served:
        page = visit("about:blank", expect_trouble=True)
        page.add_init_script(NO_STORAGE)
        page.goto(f"{served.url}/?c=unusual&q=bread")
        page.fill("#key", "open-sesame-open-sesame")
        page.click("text=Use it")
        page.wait_for_selector(".hit")
        page.goto("about:blank")


def test_a_key_that_no_header_holds_is_refused(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, api_key="open-sesame-open-sesame", grace_seconds=0) as served:
        page = visit(f"{served.url}/?c=unusual&q={quote('bread')}", expect_trouble=True)
        page.fill("#key", "“open-sesame-open-sesame”")
        page.click("text=Use it")
        page.wait_for_selector("text=characters that no key can have")
        page.fill("#key", "open-sesame-open-sesame")
        page.click("text=Use it")
        page.wait_for_selector(".hit")
        page.goto("about:blank")
