"""Explain late-interaction scores, which sum the best match of each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrieval.explanations import DenseExplanation
from retrieval.index.collection.index_reader import IndexReader
from retrieval.results import Hit
from retrieval.search.explain.attribution import explained_pairs
from retrieval.search.explain.hit_explanation import ExplainedPassage, HitExplainer
from retrieval.search.explain.word_alignment import AlignedWords, TextPart, align_words, joined
from retrieval.search.late_interaction import LateReranker, TokenSimilarities
from retrieval.util.work_budget import NUMBER_BYTES, checkpoint, spend_answer_bytes


def with_late_words(
    query: str, hits: Sequence[Hit], reranker: LateReranker, reader: IndexReader, explainer: HitExplainer
) -> tuple[Hit, ...]:
    """Return explained hits; those that were reranked get the words of that score."""
    reranked = [hit for hit in hits if hit.explanation and hit.explanation.rerank]
    passages = explainer.shown_passages(reranked)
    scores = [hit.scores["rerank"] or 0.0 for hit in reranked]
    words = explain_late(query, passages, scores, reranker, reader)
    found = {hit.id: each for hit, each in zip(reranked, words, strict=True)}
    return tuple(_with_words(hit, found[hit.id]) if hit.id in found else hit for hit in hits)


def _with_words(hit: Hit, words: DenseExplanation) -> Hit:
    assert hit.explanation is not None
    assert hit.explanation.rerank is not None
    rerank = replace(hit.explanation.rerank, words=words)
    return replace(hit, explanation=replace(hit.explanation, rerank=rerank))


def explain_late(
    query: str,
    passages: Sequence[ExplainedPassage],
    scores: Sequence[float],
    reranker: LateReranker,
    reader: IndexReader,
) -> list[DenseExplanation]:
    """Explain the score of the query with each passage."""
    encoder = reranker.encoder
    vectors = encoder.encode_query(query)
    texts = [joined("", each.parts) for each in passages]
    if reranker.is_stored(reader):
        rows = np.array([each.row for each in passages], dtype=np.int64)
        similarities = reranker.stored_similarities(vectors, reader, rows)
    else:
        similarities = reranker.text_similarities(vectors, texts)
    prompts = encoder.folder.encoder
    query_words = align_words(encoder.query_tokens(query), prompts.query_prompt, [TextPart("text", query)])
    found = []
    for each, text, matrix, score in zip(passages, texts, similarities, scores, strict=True):
        checkpoint()
        words = align_words(encoder.passage_tokens(text), prompts.passage_prompt, each.parts)
        spend_answer_bytes(NUMBER_BYTES * len(query_words.words) * len(words.words))
        found.append(late_pairs(query_words, words, matrix, score, mean=encoder.mean))
    return found


def late_pairs(
    query: AlignedWords, passage: AlignedWords, similarities: TokenSimilarities, score: float, *, mean: bool
) -> DenseExplanation:
    """Return a late-interaction score as a sum over pairs of words.

    Each token of the query, (q, t), adds its largest similarity to the pair of its word and the word that matched.
    """
    pairs = np.zeros((len(query.words), len(passage.words)))
    if similarities.size:
        best = similarities.argmax(1)
        shares = similarities.max(1).astype(np.float64) / (len(similarities) if mean else 1)
        np.add.at(pairs, (query.of_token, passage.of_token[best]), shares)
    return explained_pairs(query, passage, pairs, score, float(score - pairs.sum()))
