"""Decode bytes: by mark, escapes, as UTF-8, as declared, else by likelihood."""

from __future__ import annotations

import codecs
import io
import itertools
import re
import unicodedata
from typing import Any, BinaryIO, cast

import regex

from indexer.readers.text import seven_bit
from indexer.readers.text.alphabets import fits_a_language
from retrieval.errors import BadDocument

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
XML_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9_.:-]{2,40})""")
META_DECLARED = re.compile(
    rb"""<meta\s(?=[^>]*?(?:http-equiv\s*=\s*["']?\s*content-type|\scharset\s*=))[^>]*?charset\s*=\s*["']?\s*"""
    rb"([A-Za-z0-9_.:-]{2,40})",
    re.IGNORECASE,
)
DECLARATION_BYTES = 4096
SAMPLE_BYTES = 1 << 18
SAMPLE_LINES = 1_000  # lines beyond ASCII that tell the encoding of a table
BYTES_BEFORE = 1000  # of the sample, before its first byte beyond ASCII
# Codecs that the name of a smaller one often stands for, by Python's names.
SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
}
CODE_PAGE = re.compile(r"^(?:windows|ibm|dos|cp)[-_]?(\d+)")
NOT_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw-unicode-escape", "unicode-escape", "undefined"))
DOS_CODEC = "cp850"
LATIN_CODECS = ("cp1252", "cp1250", "cp1257", "cp1254", "iso8859-2")
MAX_DOUBTFUL_LETTERS = 50  # letters beyond ASCII; the detector is right about more of them
OLD_CODECS = ("mac_roman", DOS_CODEC)  # which the detector does not know
BROKEN = regex.compile(  # a capital or a sign inside a word, and a control character: the encoding is another one
    r"(?<=\p{Ll})(?![A-Z])\p{Lu}|(?<=\p{L})[^\p{L}\p{M}\p{N}\s\x00-\x7f–—’‘…·\xad](?=\p{L})|[\x80-\x9f\ufffd]"
)
MIN_BROKEN_SHARE = 0.05  # of the characters beyond ASCII, until an old encoding is tried
SIGNS = ("Cc", "Cn", "Co", "So")  # control characters and box drawings: the encoding is another one
MIN_GOOD_LETTERS = 10  # letters beyond ASCII for each bad byte, in UTF-8 that is cut or mixed and not declared
MAX_BAD_SHARE = 0.01  # of the characters of a text in its declared encoding
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
HIGH_BYTE = re.compile(rb"[\x80-\xff]")
UTF16_SAMPLE_BYTES = 1024
NO_TEXT_BYTE = re.compile(rb"[\x01-\x08\x0e-\x1f\x80-\xff]")  # that ASCII text does not have
MIN_WIDE_SHARE = 0.1  # of such bytes, in UTF-16 of other scripts than Latin
NO_LETTERS = frozenset(("Cc", "Cn", "Co", "Cs", "So"))  # "So" has the sign for a bad byte


def decode(data: bytes, encoding: str = "", *, declares: bool = False) -> str:
    """Return `data` as text with "\\n" line ends.

    `encoding` is an encoding that the caller knows. `declares` looks for a declaration in `data`, as HTML and XML have
    it. Raises BadDocument with the position of the first bad byte if no encoding fits.
    """
    codec = codec_of(encoding) or (declared_codec(data) if declares else "")
    return _decode(data, codec).replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes, codec: str) -> str:
    """Decode by mark, by escape sequences, as UTF-8, as `codec`, else by likelihood."""
    if certain := _certain_codec(data) or (codec if codec in seven_bit.CODECS and data.isascii() else ""):
        return data.decode(certain, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        first_bad = error.start
    if joined := _with_joined_pairs(data):
        return joined
    min_good = 1 if codec == "utf-8" else MIN_GOOD_LETTERS
    if _is_utf8(data + b" ", min_good):  # the space completes a character that the data cut
        return data.decode("utf-8", "replace")
    for name in (codec, _likeliest_codec(data)):
        if name and _fits(text := data.decode(name, "replace")):
            return text
    raise BadDocument(f"invalid UTF-8 at byte {first_bad}, and no other encoding fits; save it as UTF-8")


def _with_joined_pairs(data: bytes) -> str:
    """Return the text of UTF-8 with pairs of surrogates (CESU-8); "" for other data."""
    try:
        text = data.decode("utf-8", "surrogatepass")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return ""


def encoding_of(sample: bytes) -> str:
    """Return the encoding of a file that begins with `sample`.

    UTF-8 with a few bad bytes is UTF-8. A text with more bad bytes than good letters beyond ASCII has another encoding.
    """
    if certain := _certain_codec(sample):
        return certain
    return "utf-8" if _is_utf8(sample, 1) else _likeliest_codec(sample) or "utf-8"


def evidence_in(stream: BinaryIO) -> bytes:
    """Return the bytes that tell the encoding of `stream`, and leave it at its place.

    They are the first bytes, then the first lines beyond ASCII in the whole stream. For a stream that cannot seek they
    are the bytes that it has read ahead.
    """
    if not stream.seekable():
        return cast(io.BufferedReader, stream).peek()
    start = stream.tell()
    sample = stream.read(SAMPLE_BYTES)
    if sample.isascii():
        lines = iter(lambda: stream.readline(SAMPLE_BYTES), b"")
        found = itertools.islice((line for line in lines if not line.isascii()), SAMPLE_LINES)
        sample += b"".join(found)[:SAMPLE_BYTES]
    stream.seek(start)
    return sample


class Utf8Stream(io.RawIOBase):
    """The bytes of a text in UTF-8, whose encoding is another one."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = b"-"
        while data and not self._pending:
            data = self._stream.read(SAMPLE_BYTES)
            self._pending = self._decoder.decode(data, final=not data).encode("utf-8", "replace")
        with memoryview(buffer) as view:
            part, self._pending = self._pending[: len(view)], self._pending[len(view) :]
            view[: len(part)] = part
        return len(part)


def _certain_codec(data: bytes) -> str:
    """Return the codec that a mark, zero bytes or escape sequences tell; else ""."""
    marked = next((name for mark, name in BOMS if data.startswith(mark)), "")
    return marked or wide_encoding(data) or seven_bit.seven_bit_codec(data)


def _is_utf8(sample: bytes, min_good: int) -> bool:
    """Check for `min_good` letters beyond ASCII for each bad byte."""
    text = sample.decode("utf-8", "replace")
    bad = text[:-1].count("\ufffd")  # the sample may cut the last character
    good = sum(map(len, BEYOND_ASCII.findall(text))) - bad
    return bad * min_good <= good


def codec_of(label: str) -> str:
    """Return Python's codec for the name of a charset; "" if it has none.

    Of a charset and its superset, the superset: pages and mails that name the one often contain the other.
    """
    label = label.strip().lower().removeprefix("x-").removesuffix("-i")
    label = "shift_jis" if label == "windows-31j" else label
    if label.startswith(("iso-2022", "csiso2022", "cp5022")):
        return seven_bit.ISO_2022
    for name in (label, CODE_PAGE.sub(r"cp\1", label)):
        try:
            codec = codecs.lookup(name).name
            b"a".decode(codec, "replace")  # fails for codecs from bytes to bytes
        except (LookupError, ValueError):
            continue
        return "" if codec in NOT_CHARSETS else SUPERSETS.get(codec, codec)
    return ""


def declared_codec(data: bytes) -> str:
    """Return the codec that an HTML or XML file declares; "" if it declares none.

    A declaration that a parser can read byte by byte is not UTF-16, even if it says so (HTML, section 4.2.5.4).
    """
    head = COMMENT.sub(b"", data[:DECLARATION_BYTES])
    found = XML_DECLARED.match(head) or META_DECLARED.search(head)
    codec = codec_of(found.group(1).decode("ascii")) if found else ""
    return "" if codec.startswith(("utf-16", "utf-32")) else codec


def wide_codec(data: bytes) -> str:
    """Return the codec of UTF-16 or UTF-32, with or without a mark; else ""."""
    marked = next((name for mark, name in BOMS if data.startswith(mark)), "")
    return marked if marked.startswith(("utf-16", "utf-32")) else wide_encoding(data)


def wide_encoding(data: bytes) -> str:
    """Return the encoding of UTF-16 without a mark; else "".

    Of letters of Latin script, every other byte is zero.  Of other scripts, it is zero in spaces, digits and ends of
    lines, and the other bytes are no ASCII text.
    """
    sample = data[:UTF16_SAMPLE_BYTES]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    half = len(sample) // 2
    codec = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    if half >= 4 and max(zeros) >= 0.7 * half and min(zeros) <= 0.05 * half:
        return codec
    return codec if max(zeros) > max(1, 2 * min(zeros)) and _is_wide_text(sample, codec) else ""


def _is_wide_text(sample: bytes, codec: str) -> bool:
    """Check whether bytes are no ASCII text, but letters and signs in UTF-16."""
    if len(NO_TEXT_BYTE.findall(sample)) < MIN_WIDE_SHARE * len(sample):
        return False
    text = sample.decode(codec, "replace")[:-1]  # the sample may cut the last character
    return not any(unicodedata.category(character) in NO_LETTERS for character in text if character not in "\t\r\n")


def _likeliest_codec(data: bytes) -> str:
    """Return the codec of the likeliest legacy encoding of `data`; "" if none fits."""
    from chardetng_py import detect

    first = HIGH_BYTE.search(data)
    start = max(0, first.start() - BYTES_BEFORE) if first else 0
    sample = data[start : start + SAMPLE_BYTES]
    label = detect(sample)
    codec = codec_of("windows-1252" if label == "ISO-8859-4" else label)  # few texts have that one, many look like it
    if codec in LATIN_CODECS and len(HIGH_BYTE.findall(sample)) <= MAX_DOUBTFUL_LETTERS:
        codec = next((name for name in (codec, *LATIN_CODECS) if _is_latin_text(sample, name)), codec)
    fitting = next((name for name in (codec, DOS_CODEC) if _fits(sample.decode(name, "replace"))), "")
    return _least_broken(sample, fitting) if fitting in ("", DOS_CODEC, *LATIN_CODECS) else fitting


def _least_broken(sample: bytes, codec: str) -> str:
    """Return an old encoding that mends most broken words of `codec`; else `codec`."""
    is_old = codec in ("", DOS_CODEC)
    share = _broken_share(sample, codec) if codec else 1.0
    if share < MIN_BROKEN_SHARE and not is_old:
        return codec
    is_short = len(HIGH_BYTE.findall(sample)) <= MAX_DOUBTFUL_LETTERS
    mends = {
        name: (not _is_latin_text(sample, name), _broken_share(sample, name))
        for name in OLD_CODECS
        if _fits(sample.decode(name, "replace")) and (is_old or _broken_share(sample, name) <= share / 4)
    }
    best = min(mends, key=lambda name: mends[name], default=codec)
    return best if is_old or best == codec or not (is_short and mends[best][0]) else codec


def _broken_share(sample: bytes, codec: str) -> float:
    """Return the share of the characters beyond ASCII that break a word."""
    text = sample.decode(codec, "replace")
    return len(BROKEN.findall(text)) / max(1, sum(map(len, BEYOND_ASCII.findall(text))))


def _is_latin_text(sample: bytes, codec: str) -> bool:
    text = sample.decode(codec, "replace")
    return _fits(text) and fits_a_language(text)


def _fits(text: str) -> bool:
    """Check for few bad bytes, and for more letters than other signs beyond ASCII."""
    bad = text.count("\ufffd")
    beyond_ascii = "".join(BEYOND_ASCII.findall(text))
    signs = sum(unicodedata.category(character) in SIGNS for character in beyond_ascii)
    return bad <= MAX_BAD_SHARE * len(text) and 2 * signs <= len(beyond_ascii)
