"""Tell text of a language from glyph codes, wrong letters and spaced letters.

A font without a table of characters, or with a wrong one, gives text that no query matches. The tests here need no
dictionary: they count signs that no text has, letters by their frequency, and rare characters. They accept every text
that is too short to tell, and every script for which they know no frequencies.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from retrieval.util.language import language_of

SAMPLE_CHARACTERS = 1_200
GLYPH_CODE = re.compile(r"\(cid:\d{1,6}\)|/g\d{1,5}\b")  # some programs write glyphs without a character like this
NO_SIGN = re.compile("[\ufffd\u25a1\ue000-\uf8ff\x00-\x08\x0e-\x1f\x7f-\x9f\U000f0000-\U0010fffd]")
PRINTABLE_NO_SIGNS = "\ufffd\u25a1\x1c\x1d\x1e\x1f"  # the last four are white space to Python
VISIBLE = re.compile(r"\S")
MIN_VISIBLE = 12
MAX_NO_SIGNS = 0.2  # of the visible characters
WORD = re.compile(r"[^\W\d_]+")
MIN_LETTERS = 60  # of the different words
MIN_SCRIPT_SHARE = 0.5  # of the letters, for the frequencies of a script to count
MIN_CORRELATION = 0.4  # of the frequencies of letters; languages have 0.5 to 1, wrong letters -0.3 to 0.3
MANY_LETTERS = 400
MIN_LONG_CORRELATION = 0.55  # of so many letters; languages have 0.7 to 1
MIN_HAN = 30
MIN_COMMON_HAN = 0.6  # of the Han characters; texts have 0.95 to 1, wrong ones 0.3
MIN_WORDS = 12
MAX_INNER_CAPITALS = 0.3  # of the words of three letters and more
MAX_SINGLE_LETTERS = 0.6  # of the words
WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
HAN = re.compile("[\u3400-\u9fff]")
WIDE_SIGNS = "\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"  # with their punctuation; Korean has spaces between words
SPACED_WIDE = re.compile(f"(?<=[{WIDE_SIGNS}]) +(?=[{WIDE_SIGNS}])")
WIDE_TOKEN = re.compile(f"[{WIDE_SIGNS}]$")


def _percentages(text: str) -> dict[str, float]:
    return {each[0]: float(each[1:]) for each in text.split()}


# Letters in per cent: the mean over languages in Latin script, without accents, and over those in Cyrillic script.
LATIN = _percentages(
    "a9.5 b1.6 c3.2 d4.2 e12.5 f1.3 g1.9 h2.6 i8 j0.6 k2 l4.4 m3.2 n7.2 o6.8 p2.5 q0.4 r6.4 s6.2 t6.6 u4 v1.8 w1 x0.3"
    " y1.3 z1.2"
)
CYRILLIC = _percentages(
    "а8.5 б1.6 в4.4 г1.7 д3 е8.4 ж0.9 з1.7 и7.6 й1.1 к3.4 л4 м3.1 н6.6 о10.5 п2.7 р4.7 с5.4 т6.3 у2.4 ф0.3 х0.9 ц0.5"
    " ч1.4 ш0.7 щ0.4 ъ0.5 ы1.4 ь1.5 э0.2 ю0.6 я2"
)
FREQUENCIES = (LATIN, CYRILLIC)
COMMON_HAN = (("gb2312", range(0xB0, 0xD8)), ("big5", range(0xA4, 0xC7)), ("shift_jis", range(0x88, 0x99)))


def problem_of(text: str) -> str:
    """Return why `text` is no text of a language; "" if it may be one."""
    sample = text[:SAMPLE_CHARACTERS]
    codes = 0
    if "(cid:" in sample or "/g" in sample:
        sample, codes = GLYPH_CODE.subn("\ufffd", sample)
    visible = "".join(sample.split())
    if len(visible) < MIN_VISIBLE:
        return ""
    if _may_have_no_signs(sample, visible) and len(NO_SIGN.findall(sample)) > MAX_NO_SIGNS * len(visible):
        return "codes of glyphs instead of characters" if codes else "signs that are no characters"
    words = WORD.findall(sample)
    if is_spaced_out(words):
        return "words set letter by letter"
    if _has_wrong_letters(sample, {word for word in words if len(word) > 2}) or _has_rare_han(sample):
        return "letters that make no words"
    return ""


def _may_have_no_signs(text: str, visible: str) -> bool:
    """Check fast for characters of NO_SIGN; it may find others."""
    return not visible.isprintable() or any(sign in text for sign in PRINTABLE_NO_SIGNS)


def known_text(text: str) -> str:
    """Return the text without codes of glyphs; "" if these are the most of it."""
    known = NO_SIGN.sub("", GLYPH_CODE.sub("", text))
    lost = len(NO_SIGN.findall(GLYPH_CODE.sub("\ufffd", text)))
    return known if lost <= len(VISIBLE.findall(known)) else ""


def is_spaced_out(words: list[str]) -> bool:
    """Check whether most of the words are single letters of an alphabet, or digits."""
    limit = MAX_SINGLE_LETTERS * len(words)
    if len(words) < MIN_WORDS or list(map(len, words)).count(1) <= limit:
        return False
    return sum(len(word) == 1 and word.isalnum() and not WIDE.match(word) for word in words) > limit


def join_spaced_wide(text: str) -> str:
    """Join Chinese and Japanese characters that spaces set apart, line by line."""
    if text.isascii() or not SPACED_WIDE.search(text):
        return text
    return "\n".join(map(_joined_wide, text.split("\n")))


def _joined_wide(line: str) -> str:
    tokens = line.split()
    single = sum(WIDE_TOKEN.match(token) is not None for token in tokens)
    return SPACED_WIDE.sub("", line) if len(tokens) > 2 and single > MAX_SINGLE_LETTERS * len(tokens) else line


def _has_wrong_letters(text: str, words: set[str]) -> bool:
    """Check for capitals within words, and for letter frequencies of no language."""
    if len(words) >= MIN_WORDS and sum(map(_has_inner_capital, words)) > MAX_INNER_CAPITALS * len(words):
        return True
    letters = unicodedata.normalize("NFD", "".join(words).lower())
    total = len(letters) if letters.isascii() else sum(map(str.isalpha, letters))
    for frequencies in FREQUENCIES:
        own = [letters.count(letter) for letter in frequencies]
        if sum(own) >= max(MIN_LETTERS, MIN_SCRIPT_SHARE * total):
            least = MIN_LONG_CORRELATION if sum(own) >= MANY_LETTERS else MIN_CORRELATION
            return _correlation(own, frequencies.values()) < least and not language_of(text)
    return False


def _has_inner_capital(word: str) -> bool:
    if word.islower() or word.isupper() or word.istitle():
        return False
    return any(before.islower() and letter.isupper() for before, letter in pairwise(word))


def _correlation(first: Iterable[float], second: Iterable[float]) -> float:
    """Return Pearson's correlation; 0 for constant numbers."""
    pairs = list(zip(first, second, strict=True))
    means = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)]
    apart = [(a - means[0], b - means[1]) for a, b in pairs]
    norms = math.sqrt(sum(a * a for a, _ in apart) * sum(b * b for _, b in apart))
    return sum(a * b for a, b in apart) / norms if norms else 0.0


def _has_rare_han(text: str) -> bool:
    """Check for many Han characters beyond the common ones of China, Taiwan and Japan."""
    found = () if text.isascii() else HAN.findall(text)
    return len(found) >= MIN_HAN and sum(map(_is_common, found)) < MIN_COMMON_HAN * len(found)


def _is_common(character: str) -> bool:
    for codec, rows in COMMON_HAN:
        encoded = character.encode(codec, "ignore")
        if encoded and encoded[0] in rows:
            return True
    return False
