"""The size of an answer in tokens: count the tokens of passages, and cut them.

Passages take their tokens in the order of the answer.  The first one that does not fit is cut at the end of a sentence,
and the answer ends with it.  Texts before and after a passage are cut in the same way, at the ends far from it.
A whole text is read part by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from retrieval.protocols import Tokenizer
from retrieval.results import Hit, PassageHit
from retrieval.types import Included, SearchRequest
from retrieval.util.text_boundaries import Boundaries, BoundaryStrength, find_boundaries
from retrieval.util.work_budget import checkpoint

_MAX_CHARACTERS_PER_TOKEN = 16  # of the text that is read for a part; a token of running text has 2 to 5


@dataclass(frozen=True, slots=True)
class FittedHits:
    """The hits that fit into an answer; `truncated` if text is missing."""

    hits: tuple[Hit, ...]
    truncated: bool


def with_token_counts(hits: Sequence[Hit], tokenizer: Tokenizer) -> tuple[Hit, ...]:
    """Return the hits with the number of tokens of each passage."""
    return tuple(replace(hit, passages=tuple(_counted(passage, tokenizer) for passage in hit.passages)) for hit in hits)


def fit_answer(request: SearchRequest, hits: tuple[Hit, ...], tokenizer: Tokenizer) -> FittedHits:
    """Cut the hits to `max_tokens`, or count the tokens of their passages."""
    if request.max_tokens is not None:
        return fit_hits(hits, request.max_tokens, tokenizer)
    if Included.TOKENS in request.include:
        hits = with_token_counts(hits, tokenizer)
    return FittedHits(hits, truncated=False)


def fit_hits(hits: Sequence[Hit], max_tokens: int, tokenizer: Tokenizer) -> FittedHits:
    """Return the first hits, whose passages have at most `max_tokens` tokens together.

    The first hit always has text: if its first sentence is too long, it is cut after a word.
    """
    fitted: list[Hit] = []
    remaining = max_tokens
    for hit in hits:
        checkpoint()
        passages: list[PassageHit] = []
        for passage in hit.passages:
            cut = _Cut(tokenizer, remaining)
            kept = cut.passage(passage, may_cut_sentence=not fitted and not passages)
            if kept.text:
                passages.append(kept)
            if cut.truncated:
                return FittedHits(
                    (*fitted, replace(hit, passages=tuple(passages))) if passages else tuple(fitted), True
                )
            remaining = cut.remaining
        fitted.append(replace(hit, passages=tuple(passages)))
    return FittedHits(tuple(fitted), False)


def first_part(text: str, max_tokens: int, tokenizer: Tokenizer) -> str:
    """Return the start of a text: the sentences that have at most `max_tokens` tokens.

    A first sentence that is too long is cut after a word.  Only an empty text has an empty part.
    """
    start = text[: _MAX_CHARACTERS_PER_TOKEN * max_tokens]
    return _Cut(tokenizer, max_tokens).start_of(start, may_cut_sentence=True) or text[:1]


def _counted(passage: PassageHit, tokenizer: Tokenizer) -> PassageHit:
    checkpoint()
    return replace(passage, tokens=len(tokenizer.spans(passage.text)))


class _Cut:
    """Cuts the texts of one passage to the tokens that remain."""

    def __init__(self, tokenizer: Tokenizer, remaining: int) -> None:
        self._tokenizer = tokenizer
        self.remaining = remaining
        self.truncated = False

    def passage(self, passage: PassageHit, *, may_cut_sentence: bool) -> PassageHit:
        before_text = self.remaining
        text = self.start_of(passage.text, may_cut_sentence=may_cut_sentence)
        tokens = before_text - self.remaining
        after = "" if self.truncated else self.start_of(passage.after)
        before = "" if self.truncated else self._end_of(passage.before)
        end = passage.start + len(text)
        return replace(passage, text=text, end=end, tokens=tokens, before=before, after=after)

    def start_of(self, text: str, *, may_cut_sentence: bool = False) -> str:
        """Return the sentences at the start of a text that fit."""
        spans = self._tokenizer.spans(text)
        if not self._is_too_long(len(spans)):
            return text
        boundaries = _after(find_boundaries(text), int(spans[0][1]))
        for fitting in range(self.remaining, 0, -1):  # a part may have more tokens of its own than within the whole
            end = _last(boundaries, int(spans[fitting][0]), BoundaryStrength.SENTENCE)
            if not end and may_cut_sentence:
                end = _last(boundaries, int(spans[fitting][0]), BoundaryStrength.WORD) or int(spans[fitting][0])
            part = text[:end].rstrip()
            count = len(self._tokenizer.spans(part))
            if count <= self.remaining:
                self.remaining -= count
                return part
        return ""

    def _end_of(self, text: str) -> str:
        """Return the sentences at the end of a text that fit."""
        spans = self._tokenizer.spans(text)
        if not self._is_too_long(len(spans)):
            return text
        starts = find_boundaries(text)
        strong = starts.offsets[starts.strengths >= BoundaryStrength.SENTENCE]
        for start in strong[strong >= (spans[-self.remaining][0] if self.remaining else len(text))].tolist():
            count = len(self._tokenizer.spans(text[start:]))
            if count <= self.remaining:
                self.remaining -= count
                return text[start:]
        return ""

    def _is_too_long(self, tokens: int) -> bool:
        """Spend the tokens of a text; if they are too many, note that the answer ends."""
        self.truncated = tokens > self.remaining
        if not self.truncated:
            self.remaining -= tokens
        return self.truncated


def _after(boundaries: Boundaries, start: int) -> Boundaries:
    kept = boundaries.offsets >= start
    return Boundaries(boundaries.offsets[kept], boundaries.strengths[kept])


def _last(boundaries: Boundaries, limit: int, strength: BoundaryStrength) -> int:
    """Return the last boundary up to `limit`; 0 for none."""
    found = boundaries.offsets[(boundaries.offsets <= limit) & (boundaries.strengths >= strength)]
    return int(found[-1]) if len(found) else 0
