"""The locations of a sitemap (sitemaps.org), in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from retrieval.errors import BadDocument

INDEX = "sitemapindex"
ROOTS = ("urlset", INDEX)
ENTRIES = ("url", "sitemap")
MAX_LOCATION_CHARACTERS = 8_000
MAX_TIME_CHARACTERS = 100
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The locations in a sitemap: pages, or further sitemaps in an index."""

    locations: list[str]
    is_index: bool
    versions: dict[str, str]  # times of the last change, of the pages whose time is given


class _Locations:
    """Collects the locations while the parser reads; makes no tree."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.root = ""  # name of the first element or of the document type, without its namespace
        self.has_doctype = False
        self.versions: dict[str, str] = {}
        self._location_tag = ""
        self._time_tag = ""
        self._entry: dict[str, str] = {}  # location and time of the present entry, by tag
        self._text: list[str] | None = None
        self._remaining = 0

    @property
    def is_sitemap(self) -> bool:
        return self.root in ROOTS

    def sitemap(self) -> Sitemap:
        return Sitemap(self.found, self.root == INDEX, self.versions)

    def doctype(self, name: str, *_: object) -> None:
        self.root, self.has_doctype = name, True

    def start(self, tag: str, _attributes: object) -> None:
        if not self._location_tag:
            namespace, _, name = tag.rpartition("}")
            self.root = self.root or name
            self._location_tag = f"{namespace}}}loc" if namespace else "loc"  # others are of images and videos
            self._time_tag = f"{namespace}}}lastmod" if namespace else "lastmod"
        if tag in (self._location_tag, self._time_tag):
            self._text, self._remaining = [], MAX_LOCATION_CHARACTERS + 1

    def data(self, text: str) -> None:
        if self._text is not None and self._remaining > 0:
            self._text.append(text[: self._remaining])
            self._remaining -= len(text)

    def end(self, tag: str) -> None:
        if self._text is not None and tag in (self._location_tag, self._time_tag):
            text = "".join(self._text).strip()
            self._text = None
            self._entry[tag] = text
            if text and tag == self._location_tag:
                self.found.append(text)
        elif tag.endswith(ENTRIES):
            time = self._entry.get(self._time_tag, "")
            if "T" in time and len(time) <= MAX_TIME_CHARACTERS:  # a page can change twice on a day
                self.versions[self._entry.get(self._location_tag, "")] = time
            self._entry = {}


def read_sitemap(body: bytes, max_locations: int) -> Sitemap | None:
    """Return the first locations of a sitemap or sitemap index; None for another page.

    Stops soon after more than `max_locations`. A location of more than MAX_LOCATION_CHARACTERS is cut behind them.
    Raises BadDocument for a damaged sitemap, and for one with a document type, which could declare entities.
    """
    body = body.lstrip()
    locations = _Locations()
    parser = ElementTree.XMLParser(target=locations)
    try:
        for start in range(0, len(body), PIECE_BYTES):
            parser.feed(body[start : start + PIECE_BYTES])
            if locations.root and (locations.has_doctype or not locations.is_sitemap):
                break
            if len(locations.found) > max_locations:
                return locations.sitemap()
        else:
            parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two: an unknown encoding
        if locations.is_sitemap and not locations.has_doctype:
            raise BadDocument(f"is a damaged sitemap: {error}") from error
    if not locations.is_sitemap:
        return None
    if locations.has_doctype:
        raise BadDocument("is a sitemap with a document type, which could declare entities; refused")
    return locations.sitemap()
