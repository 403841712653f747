"""Files dropped on the page, and originals opened from a hit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from service.config.api_keys import add_key
from tests.indexer.readers.samples import pdf_file

DROP = """([selector, files]) => {
  const data = new DataTransfer();
  for (const [name, text] of files) data.items.add(new File([text], name, { lastModified: 1700000000000 }));
  const zone = document.querySelector(selector);
  for (const type of ["dragover", "drop"])
    zone.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_files_are_dropped_followed_and_opened(visit: Any, serve: Any, library: Path, tmp_path: Path) -> None:
    shutil.copytree(library / "strings", tmp_path / "root" / "strings")
    with serve(tmp_path / "root") as served:
        page = visit(f"{served.url}/collection?c=strings")
        page.get_by_label("Keep the originals").check()
        before = page.locator(".figures dd").first.inner_text()
        page.evaluate(DROP, [".drop", [["sea.txt", "Lighthouses warn ships of rocks."], ["empty.txt", ""]]])
        page.wait_for_selector("text=1 file can be searched.")
        rows = page.locator(".uploads li")
        assert "no document: is empty" in rows.nth(0).inner_text()  # what failed comes first
        assert "searchable" in rows.nth(1).inner_text()
        page.wait_for_function("n => document.querySelector('.figures dd').textContent !== n", arg=before)
        pages = [["Nothing is here."], ["A hidden harbour lies behind the cape."]]
        page.locator("#upload-files").set_input_files(
            [{"name": "cape.pdf", "mimeType": "application/pdf", "buffer": pdf_file(pages)}]
        )
        page.wait_for_selector(".uploads li:has-text('cape.pdf') >> text=searchable")
        page.goto(f"{served.url}/?c=strings&q=hidden+harbour")
        link = page.locator(".hit[data-id='cape.pdf'] a.place")
        link.wait_for()
        assert link.get_attribute("href") == f"{served.url}/v1/collections/strings/documents/cape.pdf/original#page=2"
        assert link.inner_text() == "p. 2"
        page.goto("about:blank")


def test_a_phone_and_a_keyboard_can_upload(visit: Any, serve: Any, library: Path, tmp_path: Path) -> None:
    shutil.copytree(library / "strings", tmp_path / "root" / "strings")
    with serve(tmp_path / "root") as served:
        page = visit(f"{served.url}/collection?c=strings", viewport={"width": 360, "height": 640}, has_touch=True)
        button = page.locator(".drop label.button")
        button.wait_for()
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        with page.expect_file_chooser() as chooser:
            page.locator("#upload-files").press("Space")
        chooser.value.set_files([{"name": "key.txt", "mimeType": "text/plain", "buffer": b"Typed with a key."}])
        page.wait_for_selector("text=1 file can be searched.")
        page.goto("about:blank")


def test_only_a_key_that_may_write_sees_the_place(visit: Any, serve: Any, library: Path, tmp_path: Path) -> None:
    shutil.copytree(library / "strings", tmp_path / "root" / "strings")
    keys = tmp_path / "keys.json"
    read, write = (add_key(keys, name, name, []) for name in ("read", "write"))
    with serve(tmp_path / "root", keys=keys) as served:
        for key, shown in ((read, 0), (write, 1)):
            page = visit(f"{served.url}/collection?c=strings", expect_trouble=True)
            page.fill("#key", key)
            page.keyboard.press("Enter")
            page.wait_for_selector(".figures")
            assert page.locator(".drop").count() == shown
        page.get_by_label("Keep the originals").check()
        page.evaluate(DROP, [".drop", [["keyed.txt", "A file that a key protects."]]])
        page.wait_for_selector("text=1 file can be searched.")
        page.goto(f"{served.url}/?c=strings&q=file+that+a+key+protects")
        with page.context.expect_page() as opened:
            page.locator(".hit[data-id='keyed.txt'] a.place").click()
        opened.value.wait_for_url(lambda url: url.startswith("blob:"))
        opened.value.close()
        page.goto("about:blank")
