"""Stop words: the words of a query that BM25 leaves out.

The lists of `stop_lists/` are those of Snowball, for thirteen of its languages.  Each entry is a word, or words that
stand together ("don't" has the words "don" and "t"); it is compared with the words of a query before stemming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from retrieval.errors import InputError
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.storage.settings import LexicalSettings

_MAX_BYTES = 1 << 20  # of a file
_LISTS = Path(__file__).parent / "stop_lists"
_LIST_NAMES = {"porter": "english", "dutch_porter": "dutch"}  # of stemmers whose language has another name


@dataclass(frozen=True, slots=True)
class QueryWords:
    """The words of a query that rank, and the stop words that do not."""

    ranking: Sequence[str]
    stop_words: tuple[str, ...] = ()  # entries of the list, each once
    language: int | None = None  # position of the query's language, if its stop words tell it


class StopWords:
    """The stop words of a collection.  Safe to call from several threads.

    Of several languages, a query has the one with the most stop words in it.
    """

    def __init__(self, settings: LexicalSettings, analyzer: Analyzer) -> None:
        pairs = zip(settings.languages, analyzer.each, strict=True)
        self._lists = [_StopList(replace(settings, language=language), each) for language, each in pairs]

    def divide(self, query: ParsedQuery) -> QueryWords:
        """Separate the stop words of a query.

        Stop words of its phrases rank.  If the query has no other word, all words rank.
        """
        if len(self._lists) == 1:
            return self._lists[0].divide(query)
        found = [each.divide(query) for each in self._lists]
        sizes = [len(each.ranking) for each in found]
        best = sizes.index(min(sizes))
        return replace(found[best], language=best if sizes.count(sizes[best]) == 1 else None)


class _StopList:
    """The stop words of one language."""

    def __init__(self, settings: LexicalSettings, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._entries: dict[tuple[str, ...], str] = {}  # by their words
        for entry in _entries_of(settings):
            if words := tuple(map(self._folded, analyzer.split(entry))):
                self._entries.setdefault(words, entry)
        self._sizes = sorted(set(map(len, self._entries)), reverse=True)

    def divide(self, query: ParsedQuery) -> QueryWords:
        """Separate the stop words of a query."""
        words = self._analyzer.split(query.plain)
        if not self._entries:
            return QueryWords(words)
        folded = [self._folded(word) for word in words]
        quoted = {self._folded(word) for phrase in query.phrases for word in self._analyzer.split(phrase)}
        ranking: list[str] = []
        found: dict[str, None] = {}
        position = 0
        while position < len(words):
            entry, size = self._entry_at(folded, position)
            if size and not quoted.issuperset(folded[position : position + size]):
                found[entry] = None
                position += size
            else:
                ranking.append(words[position])
                position += 1
        if not any(character.isalnum() for word in ranking for character in word):
            return QueryWords(words)
        return QueryWords(ranking, tuple(found))

    def _folded(self, word: str) -> str:
        return self._analyzer.lower(word).replace("’", "'")

    def _entry_at(self, words: Sequence[str], position: int) -> tuple[str, int]:
        """Return the longest entry that begins at a position, and its number of words."""
        for size in self._sizes:
            following = tuple(words[position : position + size])
            if entry := self._entries.get(following):
                return entry, len(following)
        return "", 0


def parse_stop_words(text: str) -> tuple[str, ...]:
    """Return the words of a stop list, each once.

    White space separates words; a line from `|` on is a comment, as in Snowball's files.
    """
    return tuple(dict.fromkeys(word for line in text.splitlines() for word in line.partition("|")[0].split()))


def read_stop_words(path: Path) -> tuple[str, ...]:
    """Read a stop list in UTF-8.  Raises InputError for a file that is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        words = parse_stop_words(data.decode("utf-8-sig")) if len(data) <= _MAX_BYTES else ()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"stop words {path}: {reason}; give language, none, or a file of words") from error
    if not words:
        raise InputError(
            f"stop words {path}: the file has no words, or over {_MAX_BYTES:,} bytes; give a list of words"
        )
    return words


def _entries_of(settings: LexicalSettings) -> Iterable[str]:
    if settings.stop_words == "none":
        return ()
    return _read_list(settings.language) if settings.stop_words == "language" else settings.stop_words


@cache
def _read_list(language: str) -> tuple[str, ...]:
    """Return the stop words of a stemmer's language; none if Snowball has no list."""
    path = _LISTS / f"{_LIST_NAMES.get(language, language)}.txt"
    return parse_stop_words(path.read_text(encoding="utf-8")) if path.exists() else ()
