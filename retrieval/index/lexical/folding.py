"""Letters that count as equal, by the language of a collection.

A letter with an accent counts as another one where the language's alphabet has it as a letter of its own (in CLDR's
collation, a primary difference): ñ in Spanish, ö in Swedish.  All other accents are left out, as `é` in English or the
tonos in Greek.  Turkish has I for ı and İ for i; texts with foreign keyboards mix them, so that all four become i.
Without a language, accents count: they tell words apart in Vietnamese, for instance.

Vowel signs of Arabic and Hebrew are optional in writing and are left out everywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

NO_LANGUAGE = "none"
TURKISH = "turkish"

OWN_LETTERS: Mapping[str, str] = {
    "basque": "ñ",
    "czech": "čřšž",
    "danish": "æøå",
    "esperanto": "ĉĝĥĵŝŭ",
    "estonian": "šžõäöü",
    "finnish": "åäö",
    "hungarian": "öü",
    "lithuanian": "čšž",
    "norwegian": "æøå",
    "polish": "ąćęłńóśźż",
    "romanian": "ăâîșț",
    "serbian": "čćđšž",
    "spanish": "ñ",
    "swedish": "åäö",
    TURKISH: "çğöşü",
}
_NORTH, _EAST = {"ä": "æ", "ö": "ø"}, {"æ": "ä", "ø": "ö"}
SPELLINGS: Mapping[str, Mapping[str, str]] = {  # other letters for letters of the language
    "danish": _NORTH,
    "finnish": _EAST,
    "hungarian": {"ő": "ö", "ű": "ü"},
    "norwegian": _NORTH,
    "romanian": {"ş": "ș", "ţ": "ț"},  # cedillas of old fonts instead of commas
    "swedish": _EAST,
}
STEMMER_LETTERS: Mapping[str, str] = {  # whose accents the stemmer reads; they are folded after it
    "catalan": "àáèéìíïòóúüç",
    "czech": "áďéěíňóťúůý",
    "dutch": "áäëéèíïóöúü",
    "french": "âàçëéêèïîôûùœ",
    "german": "äöüß",
    "hungarian": "áéíóőúű",
    "irish": "áéíóú",
    "italian": "áàéèíìóòúù",
    "lithuanian": "ąęėįųū",
    "portuguese": "áàâãçéêíóôõúü",
    "spanish": "áéíóúü",
    TURKISH: "ı",
}

_PLAIN = {  # letters that do not decompose
    **dict(zip("đðħıłøŧςёѐѝ", "ddhilotσееи", strict=True)),
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
}
_ACCENTS = range(0x300, 0x370)
_NEVER_COUNT = frozenset(
    {
        0x307,  # the dot above an i, which remains of İ
        0x640,  # the tatweel, which stretches an Arabic word
        *(*range(0x610, 0x61B), *range(0x64B, 0x653), 0x656, 0x657, 0x658, 0x670),  # Arabic signs
        *(*range(0x591, 0x5BE), 0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7),  # Hebrew signs
    }
)


class _Table(dict[int, str]):
    """A table for `str.translate` that folds all lower-case letters but `kept`."""

    def __init__(self, language: str, kept: str) -> None:
        super().__init__()
        self._keeps_accents = language == NO_LANGUAGE
        self._kept = frozenset(kept)
        self._spellings = SPELLINGS.get(language, {})

    def __missing__(self, code: int) -> str:
        self[code] = folded = self._fold(chr(code))
        return folded

    def _fold(self, letter: str) -> str:
        code = ord(letter)
        if code in _NEVER_COUNT:
            return ""
        if self._keeps_accents or letter in self._kept:
            return letter
        if code in _ACCENTS:
            return ""
        if known := self._spellings.get(letter) or _PLAIN.get(letter):
            return known
        base = unicodedata.normalize("NFD", letter)[0]
        is_folded = base != letter and unicodedata.name(base, "").startswith(("LATIN", "GREEK"))
        return self._fold(base) if is_folded else letter


class Folding:
    """The folding of one language, before and after its stemmer."""

    def __init__(self, language: str) -> None:
        own = OWN_LETTERS.get(language, "")
        self._is_turkish = language == TURKISH
        self._before = _Table(language, own + STEMMER_LETTERS.get(language, ""))
        self._after = _Table(language, own)

    def lower(self, word: str) -> str:
        """Return a word in lower case, with the accents that the stemmer reads.

        A word of signs alone stays.
        """
        if self._is_turkish:
            word = word.replace("I", "ı")
        if word.isascii():
            return word.lower()
        lowered = word.replace("İ", "i").lower()
        return lowered.translate(self._before) or lowered

    def fold(self, term: str) -> str:
        """Return a stemmed term with all letters folded."""
        return term if term.isascii() else term.translate(self._after) or term
