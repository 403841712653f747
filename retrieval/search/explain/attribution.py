"""Attribution: the share of each word in the cosine of a query and a passage.

With mean pooling the vector of a text is q̄ = Σᵢ wᵢ qᵢ divided by its length, so a cosine is exactly a sum over pairs of
tokens: cos(q, d) = Σᵢⱼ wᵢ vⱼ qᵢ·dⱼ / (‖q̄‖ ‖d̄‖).  Other vectors (cls or last-token pooling, projections after pooling)
are not such sums.  For them, the explainer leaves out each word once and reports the loss of cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.inspection import Inspector, TokenStates
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadQuery
from retrieval.explanations import DenseExplanation, Span, WordPart
from retrieval.search.explain.word_alignment import SPECIAL, AlignedWord, AlignedWords, TextPart, align_words, joined
from retrieval.types import Vectors
from retrieval.util.work_budget import NUMBER_BYTES, checkpoint, spend_answer_bytes, uncounted_answers

LEAVE_ONE_OUT_NOTE = (
    "This encoder's vectors are not sums over words, so no word has an exact share. The numbers say how much the score "
    "falls without the word; they do not add up to the score."
)
MAX_ENCODED = 64  # texts that leave-one-out encodes for each side; longer texts lose several words at a time
MAX_SPANS = 5
MAX_SPAN_WORDS = 16  # a longer span is split
DECIMALS = 7  # of a pair's share; more would only make the answer longer


@dataclass(frozen=True, slots=True)
class TextAttention:
    """Attention between the words of a text in one layer."""

    words: tuple[AlignedWord, ...]
    layers: int
    heads: int
    layer: int
    weights: NDArray[np.float32]  # (heads asked for, words, words); each row sums to 1


class CosineExplainer:
    """Explains cosines of one encoder.  Safe to call from several threads."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder

    def explain(
        self, query: str, passages: Sequence[Sequence[TextPart]], scores: Sequence[float]
    ) -> list[DenseExplanation]:
        """Explain the cosine of the query with each passage, given in its parts."""
        return list(self._explained(query, passages, scores))

    def _explained(
        self, query: str, passages: Sequence[Sequence[TextPart]], scores: Sequence[float]
    ) -> Iterator[DenseExplanation]:
        inspector = self._encoder.inspector
        if inspector is not None and inspector.sums_tokens:
            return self._token_pairs(inspector, query, passages, scores)
        return (self._leave_one_out(query, parts, score) for parts, score in zip(passages, scores, strict=True))

    def spans(self, query: str, texts: Sequence[str], max_spans: int = MAX_SPANS) -> list[tuple[Span, ...]]:
        """Return the spans of each text that carry most of its cosine, best first."""
        vectors = self._encoder.encode_passages([text or " " for text in texts])
        scores = vectors @ self._encoder.encode_queries([query])[0]
        explained = self._explained(query, [[TextPart("text", text)] for text in texts], scores.tolist())
        with uncounted_answers():
            return [best_spans(each.passage, max_spans) for each in explained]

    def attention(
        self, parts: Sequence[TextPart], layer: int, *, heads: Sequence[int] | None = None, query: bool = False
    ) -> TextAttention:
        """Return the encoder's own self-attention over one text, of `heads` or of all.

        Raises BadQuery when the layer or a head does not exist, or the encoder does not give its attention.
        """
        inspector = self._encoder.inspector
        if inspector is None:
            raise BadQuery(
                "this encoder runs through transformers' own code, which does not return its attention; "
                "use an encoder whose architecture Attendex implements"
            )
        if not inspector.layers:
            raise BadQuery(
                "this encoder is a static embedding, which has a vector for each token and no attention; "
                "explain the hit: its pairs of words add up to the score"
            )
        if not 0 <= layer < inspector.layers:
            raise BadQuery(f"layer is {layer}; this encoder has layers 0 to {inspector.layers - 1}")
        heads = range(inspector.num_heads) if heads is None else heads
        if unknown := [head for head in heads if not 0 <= head < inspector.num_heads]:
            raise BadQuery(f"heads has {unknown[0]}; this encoder has heads 0 to {inspector.num_heads - 1}")
        prompt = self._prompt(query=query)
        text = joined("", parts)
        length = len(self._encoder.tokenizer.encoding(prompt + text).ids)
        spend_answer_bytes(NUMBER_BYTES * len(heads) * length**2)
        tokens, weights = inspector.attention(text, prompt, layer)
        words = align_words(tokens, prompt, parts)
        of_words = _attention_of_words(words, weights[list(heads)])
        return TextAttention(words.words, inspector.layers, inspector.num_heads, layer, of_words)

    def _token_pairs(
        self, inspector: Inspector, query: str, passages: Sequence[Sequence[TextPart]], scores: Sequence[float]
    ) -> Iterator[DenseExplanation]:
        query_prompt, passage_prompt = self._prompt(query=True), self._prompt(query=False)
        (query_states,) = inspector.states([query], query_prompt)
        query_words = align_words(query_states.tokens, query_prompt, [TextPart("text", query)])
        for parts, score in zip(passages, scores, strict=True):
            checkpoint()
            (states,) = inspector.states([joined("", parts)], passage_prompt)
            words = align_words(states.tokens, passage_prompt, parts)
            spend_answer_bytes(NUMBER_BYTES * len(query_words.words) * len(words.words))
            yield token_pairs(query_states, query_words, states, words, score)

    def _leave_one_out(self, query: str, parts: Sequence[TextPart], score: float) -> DenseExplanation:
        query_vector = self._encoder.encode_queries([query])[0]
        passage_vector = self._encoder.encode_passages([joined("", parts)])[0]
        passage = self._losses(parts, query_vector, self._encoder.encode_passages, query=False)
        return DenseExplanation(
            score=float(score),
            exact=False,
            query=self._losses([TextPart("text", query)], passage_vector, self._encoder.encode_queries, query=True),
            passage=passage,
            pairs=(),
            remainder=0.0,
            spans=best_spans(passage),
            note=LEAVE_ONE_OUT_NOTE,
        )

    def _losses(
        self,
        parts: Sequence[TextPart],
        other: NDArray[np.float32],
        encode: Callable[[Sequence[str]], Vectors],
        *,
        query: bool,
    ) -> tuple[WordPart, ...]:
        """Return each word with the loss of cosine with `other` without that word."""
        prompt = self._prompt(query=query)
        aligned = align_words(self._encoder.tokenizer.tokens(joined(prompt, parts)), prompt, parts).words
        words = [word for word in aligned if word.place not in (SPECIAL, "prompt")]
        group = -(-len(words) // MAX_ENCODED) or 1
        groups = [words[i : i + group] for i in range(0, len(words), group)]
        texts = [joined("", parts), *(joined("", without(parts, each)) or " " for each in groups)]
        cosines = (encode(texts) @ other).astype(np.float64)
        shares = [(cosines[0] - cosine) / len(each) for cosine, each in zip(cosines[1:], groups, strict=True)]
        return tuple(
            WordPart(word.text, word.place, word.start, word.end, float(share))
            for share, each in zip(shares, groups, strict=True)
            for word in each
        )

    def _prompt(self, *, query: bool) -> str:
        fingerprint = self._encoder.fingerprint
        return fingerprint.query_prompt if query else fingerprint.passage_prompt


def token_pairs(
    query: TokenStates, query_words: AlignedWords, passage: TokenStates, passage_words: AlignedWords, score: float
) -> DenseExplanation:
    """Return the cosine `score` of the stored vectors as a sum over pairs of words."""
    # Not a matrix product: the threads of the BLAS library would compete with those of the encoder.
    pairs = np.einsum("id,jd->ij", query_words.sums(_unit_parts(query)), passage_words.sums(_unit_parts(passage)))
    remainder = float(score - pairs.sum())
    counted = np.outer(query_words.sums(query.weights > 0), passage_words.sums(passage.weights > 0))
    spread = pairs + counted * (remainder / max(1, counted.sum()))
    return explained_pairs(query_words, passage_words, spread, score, remainder)


def explained_pairs(
    query: AlignedWords, passage: AlignedWords, pairs: NDArray[np.float64], score: float, remainder: float
) -> DenseExplanation:
    """Return the explanation of a score by its pairs, (query words, passage words)."""
    pairs = pairs.round(DECIMALS)
    passage_parts = _word_parts(passage, pairs.sum(0))
    return DenseExplanation(
        score=float(score),
        exact=True,
        query=_word_parts(query, pairs.sum(1)),
        passage=passage_parts,
        pairs=tuple(map(tuple, pairs.tolist())),
        remainder=remainder,
        spans=best_spans(passage_parts),
    )


def _unit_parts(text: TokenStates) -> NDArray[np.float64]:
    """Return the vector that each token adds to the text's unit vector: (tokens, dim)."""
    parts = text.weights[:, np.newaxis].astype(np.float64) * text.states
    length = np.linalg.norm(parts.sum(0))
    return parts / length if length > 0 else parts


def _word_parts(words: AlignedWords, scores: NDArray[np.float64]) -> tuple[WordPart, ...]:
    """Return the words with their shares, (words,)."""
    return tuple(
        WordPart(word.text, word.place, word.start, word.end, round(float(score), DECIMALS))
        for word, score in zip(words.words, scores, strict=True)
    )


def _attention_of_words(words: AlignedWords, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join attention of tokens to words: (H, tokens, tokens) → (H, words, words).

    A word attends as its tokens do on average; it attends to the sum of another word's tokens.
    """
    sizes = np.bincount(words.of_token, minlength=len(words.words))
    to_words = words.sums(weights.transpose(2, 0, 1).astype(np.float64))  # (keys, H, query tokens)
    from_words = words.sums(to_words.transpose(2, 1, 0))  # (queries, H, keys)
    return (from_words.transpose(1, 0, 2) / sizes[:, np.newaxis]).astype(np.float32)


def without(parts: Sequence[TextPart], words: Iterable[AlignedWord]) -> list[TextPart]:
    cut: dict[str, list[AlignedWord]] = {}
    for word in words:
        cut.setdefault(word.place, []).append(word)
    return [TextPart(part.place, _cut(part.text, cut.get(part.place, ()))) for part in parts]


def _cut(text: str, words: Iterable[AlignedWord]) -> str:
    for word in sorted(words, key=lambda word: -word.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split()) if words else text


def best_spans(passage: Sequence[WordPart], max_spans: int = MAX_SPANS) -> tuple[Span, ...]:
    """Return the spans of the text that carry more than their share, best first.

    These are the maximal scoring subsequences (Ruzzo and Tompa 1999) of the words' scores less their mean; one of more
    than MAX_SPAN_WORDS is split in the same way.  A span's score is its share of the text's positive scores.
    """
    words = [word for word in passage if word.place == "text" and word.end > word.start]
    positive = sum(max(0.0, word.score) for word in words)
    if positive <= 0:
        return ()
    scores = np.array([word.score for word in words])
    found = _stretches(scores) if len(words) > 1 else [(0, 1)]
    found = [ends for a, b in found if (ends := _without_punctuation(words, a, b))]
    spans = [
        Span(words[a].start, words[b - 1].end, min(1.0, max(0.0, float(scores[a:b].sum()) / positive)))
        for a, b in found
    ]
    return tuple(sorted(spans, key=lambda span: (-span.score, span.start))[:max_spans])


def _stretches(scores: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the maximal subsequences of the scores less their mean.

    A long one is split in the same way.

    Where half of a passage scores above the mean, one subsequence would be a paragraph.
    """
    found = []
    for start, end in maximal_subsequences((scores - scores.mean()).tolist()):
        inner = _stretches(scores[start:end]) if end - start > MAX_SPAN_WORDS else []
        found += [(start + a, start + b) for a, b in inner] or [(start, end)]
    return found


def _without_punctuation(words: Sequence[WordPart], start: int, end: int) -> tuple[int, int] | None:
    """Cut punctuation off both ends of `words[start:end]`; None for nothing else."""
    spelled = [position for position in range(start, end) if any(map(str.isalnum, words[position].word))]
    return (spelled[0], spelled[-1] + 1) if spelled else None


def maximal_subsequences(scores: Sequence[float]) -> list[tuple[int, int]]:
    """Return maximal scoring subsequences as [start, end), in order, in linear time."""
    stack: list[tuple[int, int, float, float]] = []  # start, end, total before start, total up to end
    total = 0.0
    for position, score in enumerate(scores):
        before, total = total, total + score
        if score <= 0:
            continue
        new = (position, position + 1, before, total)
        while stack:
            lower = next((i for i in range(len(stack) - 1, -1, -1) if stack[i][2] < new[2]), -1)
            if lower < 0 or stack[lower][3] >= new[3]:
                break
            new = (stack[lower][0], new[1], stack[lower][2], new[3])
            del stack[lower:]
        stack.append(new)
    return [(start, end) for start, end, _, _ in stack]
