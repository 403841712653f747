"""Names of archive members in legacy encodings.

An archive tells only that a name is UTF-8. Another name has the encoding of the computer that wrote the archive, and
that is the one in which the names of the archive are the most plausible.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from indexer.readers.text.charsets import encoding_of

DEFAULT = "cp437"
WESTERN = ("cp437", "cp850", "cp852", "cp1252", "cp1250")
OTHER_ALPHABETS = ("cp866", "cp1251", "cp737", "cp1253")
# The usual characters of each encoding, as bytes; rare ones have other bytes.
USUAL = {
    "cp932": re.compile(rb"[\x82\x83\x88-\x98][\x40-\x7e\x80-\xfc]"),
    "gb18030": re.compile(rb"[\xb0-\xd7][\xa1-\xfe]"),
    "cp949": re.compile(rb"[\xb0-\xc8][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]"),
}
# The most frequent characters of texts and file names; they tell apart encodings with equal bytes.
FREQUENT = {
    "cp932": frozenset([*map(chr, range(0x3041, 0x30FD)), *"一日本大年月会社報告書資料写真新規東京文議録"]),
    "gb18030": frozenset(
        "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出会可年文件图书报告通知说明资料新建学计划表目录测试会议记录"
    ),
    "cp949": frozenset("이다의는에가을를고하한지도로기사서은자어리아시대해인전보정제수스그유원글파일문진학교계획회국"),
    "big5": frozenset(
        "的一是在不了有和人這中大為上個國我以要他時來用們生到作地於出會可年文件圖書報告通知說明資料新建學計劃表目錄測試會議記錄檔案"
    ),
}
FREQUENT_LETTERS = frozenset("оеаинтсрвлкмдпу" + "αοιετσνηυρπκμλςόίάέ")  # of Russian and Greek
LATIN = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f]")
NOT_LATIN = re.compile("[\u0410-\u044f\u0401\u0451\u0404\u0406\u0407\u0454\u0456\u0457\u0490\u0491\u0386-\u03ce]")
HALF_WIDTH = re.compile("[\uff66-\uff9f]")  # the katakana of early computers; their bytes are common in other encodings
HIGH_RUN = re.compile(rb"([A-Za-z]?)([\x80-\xff]+)([A-Za-z]?)")
TOUCHING = re.compile("[A-Za-z](?=[\u3000-\U0002ffff])|[\u3000-\U0002ffff](?=[A-Za-z])")
MIN_SCORE = 0.5
SHORT_RUN = 2  # bytes; longer runs beyond ASCII are words of another script


def member_names(raw: Sequence[bytes]) -> list[str]:
    """Return the names of an archive's members; those not in UTF-8 share a codec."""
    legacy = b"/".join(name for name in raw if not _is_utf8(name))
    encoding = _likeliest(legacy) if legacy else DEFAULT
    return [name.decode("utf-8" if _is_utf8(name) else encoding, "replace") for name in raw]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _likeliest(names: bytes) -> str:
    scores = {encoding: _wide_score(names, encoding) for encoding in USUAL}
    if _is_western(names):
        scores |= {encoding: _alphabet_score(names, encoding, LATIN) for encoding in WESTERN}
    else:
        scores |= {encoding: _alphabet_score(names, encoding, NOT_LATIN) for encoding in OTHER_ALPHABETS}
    best = max(scores, key=scores.__getitem__)
    if best == "cp1252" and scores[best] == scores["cp1250"]:
        best = encoding_of(names)  # knows the languages that tell apart the two
    return best if scores[best] >= MIN_SCORE else DEFAULT


def _is_western(names: bytes) -> bool:
    """Check whether the high bytes are single letters in words of ASCII.

    Short runs beside no letter, as a dash or a word of one letter, tell nothing.
    """
    runs = [(bool(before or after), len(run)) for before, run, after in HIGH_RUN.findall(names)]
    inside = sum(touches and length <= SHORT_RUN for touches, length in runs)
    longer = sum(length > SHORT_RUN for _, length in runs)
    return inside > 1.5 * longer


def _alphabet_score(names: bytes, encoding: str, letters: re.Pattern[str]) -> float:
    """Return the share of letters beyond ASCII, less the capitals inside words.

    Frequent letters of Russian and Greek count half as much again.
    """
    text = names.decode(encoding, "replace")
    beyond = "".join(character for character in text if character > "\x7f")
    threes = zip(text, text[1:], text[2:], strict=False)
    odd = sum(b.isupper() and a.isalpha() and (a.islower() or c.islower()) for a, b, c in threes)
    frequent = sum(character in FREQUENT_LETTERS for character in beyond)
    return (len(letters.findall(beyond)) - odd + frequent / 2) / max(1, len(beyond))


def _wide_score(names: bytes, encoding: str) -> float:
    """Return the share of usual characters, less those that touch a Latin letter.

    Frequent characters count half as much again, katakana of half width a quarter less.
    """
    try:
        text = names.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    beyond = [character for character in text if character > "\x7f"]
    usual: float = sum(bool(USUAL[encoding].fullmatch(character.encode(encoding))) for character in beyond)
    usual += 0.75 * len(HALF_WIDTH.findall(text))
    frequent = sum(character in FREQUENT[encoding] for character in beyond)
    touching = len(TOUCHING.findall(text))
    return (usual + frequent / 2 - touching) / max(1, len(beyond))
