"""Decode bytes: by mark, as UTF-8, as declared, else by the likeliest encoding."""

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
MIN_GOOD_LETTERS = 10  # letters beyond ASCII for each bad byte, in UTF-8 that is cut or mixed
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
UTF16_SAMPLE_BYTES = 1024


def decode(data: bytes, encoding: str = "", *, declares: bool = False) -> str:
    """Return `data` as text with "\\n" line ends.

    `encoding` is an encoding that the caller knows. `declares` looks for a declaration in `data`, as HTML and XML have
    it. Raises BadDocument with the position of the first bad byte if no encoding fits.
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
    if _is_utf8(data + b" ", MIN_GOOD_LETTERS):  # the space completes a character that the data cut
        return data.decode("utf-8", "replace")
    for name in (encoding, _likeliest_encoding(data)):
        try:
            if name:
                return data.decode(SUPERSETS.get(name.lower(), name))
        except (UnicodeDecodeError, LookupError):
            continue
    raise BadDocument(f"invalid UTF-8 at byte {first_bad}, and no other encoding fits; save it as UTF-8")


def encoding_of(sample: bytes) -> str:
    """Return the encoding of a file that begins with `sample`.

    UTF-8 with a few bad bytes is UTF-8. A text with more bad bytes than good letters beyond ASCII has another encoding.
    """
    for mark, name in BOMS:
        if sample.startswith(mark):
            return name
    if wide := wide_encoding(sample):
        return wide
    return "utf-8" if _is_utf8(sample, 1) else _likeliest_encoding(sample) or "utf-8"


def _is_utf8(sample: bytes, min_good: int) -> bool:
    """Check for `min_good` letters beyond ASCII for each bad byte."""
    text = sample.decode("utf-8", "replace")
    bad = text[:-1].count("\ufffd")  # the sample may cut the last character
    good = sum(map(len, BEYOND_ASCII.findall(text))) - bad
    return bad * min_good <= good


def declared_encoding(data: bytes) -> str:
    """Return the encoding that an HTML or XML file declares; "" if it declares none."""
    found = DECLARED.search(data[:DECLARATION_BYTES])
    return found.group(1).decode("ascii") if found else ""


def wide_encoding(data: bytes) -> str:
    """Return the encoding of UTF-16 without a mark (every other byte is zero)."""
    sample = data[:UTF16_SAMPLE_BYTES]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    half = len(sample) // 2
    if half < 4 or max(zeros) < 0.7 * half or min(zeros) > 0.05 * half:
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _likeliest_encoding(data: bytes) -> str:
    """Return the likeliest legacy encoding of `data`; "" if none fits.

    Windows-1252 wins a tie, because it is by far the most common one. It also wins for a text with few letters beyond
    ASCII, because such a text gives no other evidence.
    """
    from charset_normalizer import from_bytes

    sample = data[:SAMPLE_BYTES]
    found = list(from_bytes(sample))
    if not found:
        return ""
    best = found[0]
    western = next((match for match in found if match.encoding == "cp1252"), None)
    as_good = western and western.chaos <= best.chaos + 0.01 and western.coherence >= best.coherence - 0.02
    sparse = best.coherence == 0 and sum(byte > 127 for byte in sample) < 0.15 * len(sample)
    return "cp1252" if as_good or sparse else best.encoding
