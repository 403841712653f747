"""Several languages in one collection: each passage is analyzed by its own.

The language of a passage is detected in its title and text, among those of the collection; a text without evidence has
the first of them.  A query has the language of its stop words; without such evidence, its words have the terms of all
languages.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.index.lexical.analyzer import Analyzer, WordTerms
from retrieval.index.storage.settings import LexicalSettings
from retrieval.util.language import language_of

SNOWBALL = {  # by ISO 639-1 code
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}


class MultilingualAnalyzer(Analyzer):
    """Analyzes the words of queries in all languages, and each text in one."""

    def __init__(self, languages: Sequence[str], analysis: int) -> None:
        super().__init__(languages[0], analysis)
        self._languages = tuple(languages)
        self._analyzers = tuple(Analyzer(language, analysis) for language in languages)

    @property
    def each(self) -> tuple[Analyzer, ...]:
        return self._analyzers

    def choose(self, text: str) -> int:
        language = SNOWBALL.get(language_of(text), "")
        return self._languages.index(language) if language in self._languages else 0

    def analyze_word(self, word: str) -> WordTerms:
        """Return the terms of one word in all languages, each once."""
        forms = [each.analyze_word(word) for each in self._analyzers]
        pairs = dict.fromkeys(pair for form in forms for pair in zip(form.terms, form.offsets, strict=True))
        return WordTerms(tuple(term for term, _ in pairs), tuple(offset for _, offset in pairs), forms[0].width)


def make_analyzer(settings: LexicalSettings) -> Analyzer:
    """Return the analyzer of a collection."""
    if len(settings.languages) == 1:
        return Analyzer(settings.language, settings.analysis)
    return MultilingualAnalyzer(settings.languages, settings.analysis)
