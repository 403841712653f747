"""Why a passage matched.

With mean pooling the vector of a text is q̄ = Σᵢ wᵢ qᵢ divided by its length, so a cosine is exactly a sum over pairs of
tokens: cos(q, d) = Σᵢⱼ wᵢ vⱼ qᵢ·dⱼ / (‖q̄‖ ‖d̄‖).  Where the vector is not such a sum (cls or last-token pooling,
projections after pooling), each word is left out once, and what the cosine loses is reported as that and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.token_states import TokenStates, can_inspect, sums_tokens, tokens_of
from retrieval.errors import BadQuery
from retrieval.search.explain.word_alignment import SPECIAL, Part, Word, Words, joined, words_of
from retrieval.types import DenseExplanation, Span, Vectors, WordPart

LEFT_OUT_NOTE = (
    "This encoder's vectors are not sums over words, so there is no exact share of a word. Shown is how much the score "
    "falls when the word is left out; these numbers do not add up to the score."
)
MOST_LEFT_OUT = 64  # texts that leave-one-out encodes a side; longer texts lose several words at a time
MOST_SPANS = 5
DECIMALS = 7  # of a pair's share, so that what is sent stays small


@dataclass(frozen=True, slots=True)
class Attention:
    """Where the words of a text look in one layer: `weights` (heads, words, words), each row summing to 1."""

    words: tuple[Word, ...]
    layers: int
    heads: int
    layer: int
    weights: NDArray[np.float32]


class Explainer:
    """Explains cosines of one encoder.  Safe to call from several threads."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder

    def explain(
        self, query: str, passages: Sequence[Sequence[Part]], scores: Sequence[float]
    ) -> list[DenseExplanation]:
        """Why each passage, in parts as the encoder read them, has its score with the query."""
        if sums_tokens(self._encoder):
            return self._token_pairs(query, passages, scores)
        return [self._left_out(query, each, score) for each, score in zip(passages, scores, strict=True)]

    def spans(self, query: str, texts: Sequence[str], most: int = MOST_SPANS) -> list[tuple[Span, ...]]:
        """The stretches of each text that carry its cosine with the query, best first."""
        scores = (
            self._encoder.encode_passages([text or " " for text in texts]) @ self._encoder.encode_queries([query])[0]
        )
        explained = self.explain(query, [[Part("text", text)] for text in texts], scores.tolist())
        return [best_spans(each.passage, most) for each in explained]

    def attention(self, parts: Sequence[Part], layer: int, *, query: bool = False) -> Attention:
        """The encoder's own self-attention over one text; BadQuery where there is no such layer, or none to see."""
        if not can_inspect(self._encoder):
            raise BadQuery("this encoder runs through transformers' own code, which does not hand out its attention")
        inspector = self._encoder.inspector()
        if not 0 <= layer < inspector.layers:
            raise BadQuery(f"layer is {layer}; this encoder has layers 0 to {inspector.layers - 1}")
        prompt = self._prompt(query=query)
        tokens, weights = inspector.attention(joined("", parts), prompt, layer)
        words = words_of(tokens, prompt, parts)
        return Attention(words.words, inspector.layers, inspector.heads, layer, _attention_of_words(words, weights))

    def _token_pairs(
        self, query: str, passages: Sequence[Sequence[Part]], scores: Sequence[float]
    ) -> list[DenseExplanation]:
        inspector = self._encoder.inspector()
        asked = [Part("text", query)]
        mine, theirs = self._prompt(query=True), self._prompt(query=False)
        (left,) = inspector.states([query], mine)
        left_words = words_of(left.tokens, mine, asked)
        rights = inspector.states([joined("", parts) for parts in passages], theirs) if passages else []
        return [
            token_pairs(left, left_words, right, words_of(right.tokens, theirs, parts), score)
            for parts, score, right in zip(passages, scores, rights, strict=True)
        ]

    def _left_out(self, query: str, parts: Sequence[Part], score: float) -> DenseExplanation:
        vector = self._encoder.encode_queries([query])[0]
        passage = self._encoder.encode_passages([joined("", parts)])[0]
        asked = [Part("text", query)]
        return DenseExplanation(
            score=float(score),
            exact=False,
            query=self._losses(asked, passage, self._encoder.encode_queries, query=True),
            passage=(found := self._losses(parts, vector, self._encoder.encode_passages, query=False)),
            pairs=(),
            remainder=0.0,
            spans=best_spans(found),
            note=LEFT_OUT_NOTE,
        )

    def _losses(
        self,
        parts: Sequence[Part],
        other: NDArray[np.float32],
        encode: Callable[[Sequence[str]], Vectors],
        *,
        query: bool,
    ) -> tuple[WordPart, ...]:
        """What the cosine with `other` loses without each word."""
        words = self._seen_words(parts, query=query)
        group = -(-len(words) // MOST_LEFT_OUT) or 1
        groups = [words[i : i + group] for i in range(0, len(words), group)]
        texts = [joined("", parts), *(joined("", without(parts, each)) or " " for each in groups)]
        cosines = (encode(texts) @ other).astype(np.float64)
        shares = [(cosines[0] - cosine) / len(each) for cosine, each in zip(cosines[1:], groups, strict=True)]
        return tuple(
            WordPart(word.text, word.place, word.start, word.end, float(share))
            for share, each in zip(shares, groups, strict=True)
            for word in each
        )

    def _seen_words(self, parts: Sequence[Part], *, query: bool) -> list[Word]:
        prompt = self._prompt(query=query)
        words = words_of(tokens_of(self._encoder, joined(prompt, parts)), prompt, parts).words
        return [word for word in words if word.place not in (SPECIAL, "prompt")]

    def _prompt(self, *, query: bool) -> str:
        fingerprint = self._encoder.fingerprint
        return fingerprint.query_prompt if query else fingerprint.passage_prompt


def token_pairs(
    left: TokenStates, left_words: Words, right: TokenStates, right_words: Words, score: float
) -> DenseExplanation:
    """The cosine of two texts as a sum over pairs of words; `score` is what was shown."""
    # not a matrix product: the library's threads would fight for the cores with the encoder's
    pairs = np.einsum("id,jd->ij", left_words.sums(_unit_parts(left)), right_words.sums(_unit_parts(right)))
    remainder = float(score - pairs.sum())
    counted = np.outer(left_words.sums(left.weights > 0), right_words.sums(right.weights > 0))
    pairs = (pairs + counted * (remainder / max(1, counted.sum()))).round(DECIMALS)
    passage = _parts(right_words, pairs.sum(0))
    return DenseExplanation(
        score=float(score),
        exact=True,
        query=_parts(left_words, pairs.sum(1)),
        passage=passage,
        pairs=tuple(map(tuple, pairs.tolist())),
        remainder=remainder,
        spans=best_spans(passage),
    )


def _unit_parts(text: TokenStates) -> NDArray[np.float64]:
    """(t, dimension): what each token adds to the text's vector of length one."""
    parts = text.weights[:, np.newaxis].astype(np.float64) * text.states
    length = np.linalg.norm(parts.sum(0))
    return parts / length if length > 0 else parts


def _parts(words: Words, scores: NDArray[np.float64]) -> tuple[WordPart, ...]:
    return tuple(
        WordPart(word.text, word.place, word.start, word.end, round(float(score), DECIMALS))
        for word, score in zip(words.words, scores, strict=True)
    )


def _attention_of_words(words: Words, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, t, t) → (H, words, words): a word looks as its tokens do on average, at all tokens of another together."""
    sizes = np.bincount(words.of_token, minlength=len(words.words))
    seen = words.sums(weights.transpose(2, 0, 1).astype(np.float64))  # (words looked at, H, t)
    looking = words.sums(seen.transpose(2, 1, 0))  # (words looking, H, words looked at)
    return (looking.transpose(1, 0, 2) / sizes[:, np.newaxis]).astype(np.float32)


def without(parts: Sequence[Part], words: Iterable[Word]) -> list[Part]:
    """The parts, those words cut out of their text."""
    cut: dict[str, list[Word]] = {}
    for word in words:
        cut.setdefault(word.place, []).append(word)
    return [Part(part.place, _cut(part.text, cut.get(part.place, ()))) for part in parts]


def _cut(text: str, words: Iterable[Word]) -> str:
    for word in sorted(words, key=lambda word: -word.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split()) if words else text


def best_spans(passage: Sequence[WordPart], most: int = MOST_SPANS) -> tuple[Span, ...]:
    """Stretches of the text that carry more than their share, best first.

    These are the maximal scoring subsequences (Ruzzo and Tompa 1999) of the words' scores less their mean.  A span's
    score is its share of the text's positive scores.
    """
    words = [word for word in passage if word.place == "text" and word.end > word.start]
    positive = sum(max(0.0, word.score) for word in words)
    if positive <= 0:
        return ()
    scores = np.array([word.score for word in words])
    found = maximal_stretches((scores - scores.mean()).tolist()) if len(words) > 1 else [(0, 1)]
    found = [edges for a, b in found if (edges := _without_marks(words, a, b))]
    spans = [
        Span(words[a].start, words[b - 1].end, min(1.0, max(0.0, float(scores[a:b].sum()) / positive)))
        for a, b in found
    ]
    return tuple(sorted(spans, key=lambda span: (-span.score, span.start))[:most])


def _without_marks(words: Sequence[WordPart], start: int, end: int) -> tuple[int, int] | None:
    """A stretch that begins and ends with a word, not with a mark between words; None where it has no word."""
    spelled = [at for at in range(start, end) if any(map(str.isalnum, words[at].word))]
    return (spelled[0], spelled[-1] + 1) if spelled else None


def maximal_stretches(scores: Sequence[float]) -> list[tuple[int, int]]:
    """All maximal scoring subsequences of `scores` as [start, end), in order; linear time."""
    stack: list[tuple[int, int, float, float]] = []  # start, end, total before start, total up to end
    total = 0.0
    for place, score in enumerate(scores):
        before, total = total, total + score
        if score <= 0:
            continue
        new = (place, place + 1, before, total)
        while stack:
            lower = next((i for i in range(len(stack) - 1, -1, -1) if stack[i][2] < new[2]), -1)
            if lower < 0 or stack[lower][3] >= new[3]:
                break
            new = (stack[lower][0], new[1], stack[lower][2], new[3])
            del stack[lower:]
        stack.append(new)
    return [(start, end) for start, end, _, _ in stack]
