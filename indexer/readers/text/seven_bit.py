"""Decode 7-bit text: ISO-2022, HZ (RFC 1843) and UTF-7 (RFC 2152).

Such a text consists of ASCII bytes, so it is valid UTF-8 too; its escape sequences tell it.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Any

ISO_2022 = "attendex_iso2022"  # Python's codecs know neither ISO-2022-CN nor the circled digits of Japan
CODECS = frozenset((ISO_2022, "hz", "utf-7"))
SAMPLE_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 20  # the incremental decoder keeps a line until its end
MAX_BAD_SHARE = 0.05  # of the letters beyond ASCII
MIN_HZ_PAIRS = 4
COMMON_ROWS = range(0x21, 0x58)  # first bytes of punctuation and of the common characters in GB 2312
ALPHABETS_END = "\u0600"  # Latin, Greek, Cyrillic, Armenian and Hebrew come before this character
MIN_UTF7_LETTERS = 8  # of a text with letters beyond the alphabets

DESIGNATION = re.compile(rb"\x1b\$(?:[@AB]|[()*][@-Z])")
CONTROL = re.compile(rb"(\x1b(?:\([A-Z]|\$[@AB]|\$[()*][@-Z])|\x0e|\x0f|\n)")
SHIFT_OUT, SHIFT_IN = b"\x0e", b"\x0f"
HZ_RUN = re.compile(rb"~\{((?:[\x21-\x77][\x21-\x7e])++)~\}")
UTF7_RUN = re.compile(rb"\+[A-Za-z0-9+/]{3}")
UTF7_MARK = re.compile(rb"\+/v[89+/]")
TO_HIGH = bytes(byte | 0x80 if 0x20 < byte < 0x7F else byte for byte in range(256))
# The final bytes of a designation → a codec of the same characters in 8 bits, and the byte before each of them.
SETS = {
    b"@": ("euc_jis_2004", b""),
    b"B": ("euc_jis_2004", b""),
    b"A": ("gb2312", b""),
    b"(I": ("shift_jis", b""),
    b"$(@": ("euc_jis_2004", b""),
    b"$(A": ("gb2312", b""),
    b"$(B": ("euc_jis_2004", b""),
    b"$(C": ("euc_kr", b""),
    b"$(D": ("euc_jp", b"\x8f"),
    b"$(O": ("euc_jis_2004", b""),
    b"$(P": ("euc_jis_2004", b"\x8f"),
    b"$(Q": ("euc_jis_2004", b""),
    b"$)A": ("gb2312", b""),
    b"$)C": ("euc_kr", b""),
}
ASCII = codecs.lookup("ascii")
UNKNOWN_SET = ("ascii", b"")  # its bytes, made high, become replacement characters


def seven_bit_codec(data: bytes) -> str:
    """Return the codec of a text in a 7-bit encoding; "" for other texts."""
    if found := DESIGNATION.search(data):
        sample = data[found.start() :][:SAMPLE_BYTES]
        return ISO_2022 if _is_clean(sample.decode(ISO_2022)) else ""
    sample = data[:SAMPLE_BYTES]
    if not sample.isascii():
        return ""
    return "hz" if _is_hz(sample) else "utf-7" if _is_utf7(sample) else ""


def _is_clean(text: str) -> bool:
    beyond_ascii = [character for character in text if character > "\x7f"]
    return beyond_ascii.count("\ufffd") <= MAX_BAD_SHARE * len(beyond_ascii) and bool(beyond_ascii)


def _is_hz(sample: bytes) -> bool:
    """Check that each `~{` but a cut one begins a run, and that most pairs are common."""
    runs = HZ_RUN.findall(sample)
    rows = [row for run in runs for row in run[::2]]
    common = sum(row in COMMON_ROWS for row in rows)
    return len(runs) >= sample.count(b"~{") - 1 and len(rows) >= MIN_HZ_PAIRS and 2 * common > len(rows)


def _is_utf7(sample: bytes) -> bool:
    """Check that each plus sign begins a run that decodes to letters."""
    if UTF7_MARK.match(sample):
        return True
    if not UTF7_RUN.search(sample):
        return False
    try:
        text = codecs.utf_7_decode(sample, "strict", False)[0]
    except UnicodeDecodeError:
        return False
    characters = [character for character in text if character > "\x7f"]
    kinds = [unicodedata.category(character)[0] for character in characters]
    letters = [character for character, kind in zip(characters, kinds, strict=True) if kind in "LMN"]
    is_text = bool(letters) and all(kind in "LMNPSZ" for kind in kinds)
    return is_text and (max(letters) < ALPHABETS_END or len(letters) >= MIN_UTF7_LETTERS)


class Iso2022Decoder(codecs.BufferedIncrementalDecoder):
    """Decode ISO-2022-JP, -KR and -CN line by line; bad bytes become U+FFFD.

    A line begins in ASCII. The set that shift-out selects stays from line to line, as in ISO-2022-KR.
    """

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._shifted_set = UNKNOWN_SET

    def _buffer_decode(self, data: Any, errors: str, final: bool) -> tuple[str, int]:
        del errors
        end = len(data) if final or len(data) > MAX_LINE_BYTES else data.rfind(b"\n") + 1
        return self._text(bytes(data[:end])), end

    def _text(self, data: bytes) -> str:
        parts: list[str] = []
        selected: tuple[str, bytes] | None = None  # None is ASCII
        for position, token in enumerate(CONTROL.split(data)):
            if position % 2 == 0:
                parts.append(token.decode("ascii", "replace") if selected is None else _in_set(token, *selected))
            elif token in (SHIFT_OUT, SHIFT_IN, b"\n"):
                selected = self._shifted_set if token == SHIFT_OUT else None
                parts.append("\n" if token == b"\n" else "")
            elif token.startswith((b"\x1b$)", b"\x1b$*")):
                self._shifted_set = SETS.get(token[1:], UNKNOWN_SET)
            elif token in (b"\x1b(B", b"\x1b(J"):
                selected = None
            else:
                selected = SETS.get(token[1:].removeprefix(b"$") if len(token) == 3 else token[1:], UNKNOWN_SET)
        return "".join(parts)


def _in_set(data: bytes, codec: str, before_pair: bytes) -> str:
    """Decode the 7-bit characters of a set with the codec of their 8-bit form."""
    high = data.translate(TO_HIGH)
    if before_pair:
        high = b"".join(before_pair + high[start : start + 2] for start in range(0, len(high), 2))
    return high.decode(codec, "replace")


def _decode_all(data: Any, errors: str = "strict", /) -> tuple[str, int]:
    return Iso2022Decoder(errors).decode(data, final=True), len(data)


def _find_codec(name: str) -> codecs.CodecInfo | None:
    if name != ISO_2022:
        return None
    return codecs.CodecInfo(ASCII.encode, _decode_all, None, None, ASCII.incrementalencoder, Iso2022Decoder, ISO_2022)


codecs.register(_find_codec)
