"""The letters beyond ASCII of languages in Latin script.

A text in the wrong encoding has letters that no language has together: "nińo está", "Hûvös õszi nap".
"""

from __future__ import annotations

import re

# With the letters of frequent loan words; by ISO 639-1.
ALPHABETS = {
    "ca": "àçèéíïòóúü",
    "cs": "áčďéěíňóřšťúůýž",
    "cy": "âêîïôû",
    "da": "åæéø",
    "de": "äéößü",
    "es": "áéíñóúü",
    "et": "äõöšüž",
    "fi": "äåöšž",
    "fo": "áæðíóøúý",
    "fr": "àâæçèéêëîïñôöùûüÿœ",
    "hr": "ćčđšž",
    "hu": "áéíóöőúüű",
    "is": "áæéíðóöúýþ",
    "it": "àèéìíîòóùú",
    "lt": "ąčėęįšūųž",
    "lv": "āčēģīķļņōŗšūž",
    "nl": "áâèéêëíïóôöúü",
    "no": "åæèéêòóôø",
    "pl": "ąćęłńóśźż",
    "pt": "àáâãçéêíóôõúü",
    "ro": "âîăşţșț",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "sl": "čšž",
    "sq": "çë",
    "sv": "äåéö",
    "tr": "âçîöûüğıiş",
}
# Where a letter of an alphabet never stands.
NEVER = {
    "fo": re.compile(r"\bð"),
    "is": re.compile(r"\bð"),
    "pt": re.compile("õ(?!e)"),  # only in ões, õe, õem
}
LETTERS = re.compile(r"[^\W\d_\x00-\x7f]")


def fits_a_language(text: str) -> bool:
    """Check whether a language has all letters beyond ASCII of `text`."""
    text = text.lower().replace("\u0307", "")  # the dot of İ
    letters = set(LETTERS.findall(text))
    return any(
        letters <= set(alphabet) and not (language in NEVER and NEVER[language].search(text))
        for language, alphabet in ALPHABETS.items()
    )
