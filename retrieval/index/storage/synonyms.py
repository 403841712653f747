"""Synonyms of a collection, which its manifest records.

A line has one rule: `tv, television` (each finds the others), or `sneakers => running shoes, trainers` (the words on
the left also find those on the right, not the reverse).  A comment begins with `#`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.errors import InputError

MAX_RULES = 10_000
MAX_CHARACTERS = 1_000_000  # of all phrases: a manifest is read whole
MAX_RULE_PHRASES, MAX_PHRASE_CHARACTERS = 64, 100  # phrases of a rule; characters of a phrase
_SEPARATORS = (",", "=>", "#", "\n", "\r")  # of the lines; a phrase has none


@dataclass(frozen=True, slots=True)
class SynonymRule:
    """Phrases that stand for each other; with `synonyms`, these stand for `words`.

    Each phrase is one word or several.
    """

    words: tuple[str, ...]
    synonyms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        phrases = (*self.words, *self.synonyms)
        if not self.words or len(phrases) < 2 or len(phrases) > MAX_RULE_PHRASES:
            raise InputError(
                f"the synonyms {', '.join(phrases)!r} have {len(phrases)} phrases; a rule has two to "
                f"{MAX_RULE_PHRASES}, such as: tv, television"
            )
        for phrase in phrases:
            if not phrase.strip() or len(phrase) > MAX_PHRASE_CHARACTERS or any(each in phrase for each in _SEPARATORS):
                raise InputError(
                    f"the synonym {phrase[:MAX_PHRASE_CHARACTERS]!r} cannot be used; give 1 to "
                    f"{MAX_PHRASE_CHARACTERS} characters without commas, #, => and line breaks"
                )

    @property
    def line(self) -> str:
        """The rule as a line."""
        words = ", ".join(self.words)
        return f"{words} => {', '.join(self.synonyms)}" if self.synonyms else words


def parse_synonyms(lines: Iterable[str]) -> tuple[SynonymRule, ...]:
    """Parse lines.  Raises InputError with the number of a wrong line, from 1."""
    rules = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        words, arrow, synonyms = text.partition("=>")
        if arrow and not synonyms.strip():
            raise InputError(f"line {number}: {text!r} has nothing after =>; write word => synonym")
        try:
            rules.append(SynonymRule(_phrases(words), _phrases(synonyms) if arrow else ()))
        except InputError as error:
            raise InputError(f"line {number}: {error}") from None
    return check_synonyms(rules)


def check_synonyms(rules: Sequence[SynonymRule]) -> tuple[SynonymRule, ...]:
    """Return the rules, each once.  Raises InputError for too many or too long ones."""
    characters = sum(len(phrase) for rule in rules for phrase in (*rule.words, *rule.synonyms))
    if len(rules) > MAX_RULES or characters > MAX_CHARACTERS:
        raise InputError(
            f"{len(rules):,} rules of synonyms with {characters:,} characters; a collection has at most "
            f"{MAX_RULES:,} rules with {MAX_CHARACTERS:,} characters"
        )
    return tuple(dict.fromkeys(rules))


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))
