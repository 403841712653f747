"""Bytes to text: by a byte order mark, as UTF-8, by what the file declares, else by the likeliest legacy encoding."""

from __future__ import annotations

import codecs
import re

from retrieval.errors import BadDocument

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{3,40})""", re.IGNORECASE)
DECLARATION_BYTES = 4096
SAMPLE_BYTES = 1 << 18
SUPERSETS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}
MOSTLY = 10  # good letters beyond ASCII for a bad byte: UTF-8 that was cut or mixed
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
WIDE_SAMPLE_BYTES = 1024


def decode(data: bytes, encoding: str = "", *, declares: bool = False) -> str:
    """`data` as text with "\\n" line ends.

    `encoding` is what the caller knows from elsewhere; `declares` looks for a declaration inside, as HTML and XML have
    it.  Raises BadDocument that names the first bad byte where nothing fits.
    """
    text = _decode(data, encoding or (declared_encoding(data) if declares else ""))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes, encoding: str) -> str:
    for mark, name in BOMS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    if wide := wide_encoding(data):
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        first_bad = error.start
    if _is_utf8(data + b" ", MOSTLY):  # the space ends what the data may cut
        return data.decode("utf-8", "replace")
    for name in (encoding, _likeliest(data)):
        try:
            if name:
                return data.decode(SUPERSETS.get(name.lower(), name))
        except (UnicodeDecodeError, LookupError):
            continue
    raise BadDocument(f"invalid UTF-8 at byte {first_bad}, and no other encoding fits")


def encoding_of(sample: bytes) -> str:
    """The encoding of a file that begins with `sample`, for readers that go on line by line.

    UTF-8 with some bad bytes is UTF-8; text that holds more bad bytes than good letters beyond ASCII is of another.
    """
    for mark, name in BOMS:
        if sample.startswith(mark):
            return name
    if wide := wide_encoding(sample):
        return wide
    return "utf-8" if _is_utf8(sample, 1) else _likeliest(sample) or "utf-8"


def _is_utf8(sample: bytes, least: int) -> bool:
    """Whether it holds `least` good letters beyond ASCII for a bad byte."""
    shown = sample.decode("utf-8", "replace")
    bad = shown[:-1].count("\ufffd")  # the last character may be cut
    good = sum(map(len, BEYOND_ASCII.findall(shown))) - bad
    return bad * least <= good


def declared_encoding(data: bytes) -> str:
    """The encoding that an HTML or XML file declares about itself; empty for none."""
    found = DECLARED.search(data[:DECLARATION_BYTES])
    return found.group(1).decode("ascii") if found else ""


def wide_encoding(data: bytes) -> str:
    """UTF-16 without a mark, which shows as text of which every other byte is zero; "" for anything else."""
    sample = data[:WIDE_SAMPLE_BYTES]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    half = len(sample) // 2
    if half < 4 or max(zeros) < 0.7 * half or min(zeros) > 0.05 * half:
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _likeliest(data: bytes) -> str:
    """The legacy encoding that makes most sense of `data`; empty where none does.

    Windows-1252 is taken where it fits as well as any: it is by far the most common, and a text with few letters
    beyond ASCII gives no other hint.
    """
    from charset_normalizer import from_bytes

    found = list(from_bytes(data[:SAMPLE_BYTES]))
    if not found:
        return ""
    best = found[0]
    western = next((each for each in found if each.encoding == "cp1252"), None)
    as_good = western and western.chaos <= best.chaos + 0.01 and western.coherence >= best.coherence - 0.02
    sparse = best.coherence == 0 and sum(byte > 127 for byte in data[:SAMPLE_BYTES]) < 0.15 * len(data[:SAMPLE_BYTES])
    return "cp1252" if as_good or sparse else best.encoding
