"""The parts of an explanation add up to the score, and stand where they say."""

from __future__ import annotations

import json
import shutil
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadQuery
from retrieval.explanations import DenseExplanation, WordPart
from retrieval.index.collection.document_store import passage_text
from retrieval.search.explain.attribution import CosineExplainer, best_spans, maximal_subsequences, without
from retrieval.search.explain.word_alignment import SPECIAL, AlignedWord, TextPart, joined

WORDS = st.lists(
    st.sampled_from(
        [
            "string",
            "whitespace",
            "str.rstrip",
            "naïve",
            "don't",
            "C++",
            "自然人",
            "3.14",
            "🙂",
            "the",
            "antidisestablishment",
        ]
    ),
    min_size=1,
    max_size=12,
).map(" ".join)
TITLES = st.one_of(st.just(""), WORDS)


@given(title=TITLES, heading=TITLES, text=st.text())
def test_what_is_explained_is_what_was_encoded(title: str, heading: str, text: str) -> None:
    parts = [TextPart("title", title), TextPart("heading", heading), TextPart("text", text)]
    assert joined("", parts) == passage_text(title, heading, text)


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    return load_encoder(runtime="torch", precision="f32")


@pytest.fixture(scope="session")
def explainer(encoder: SentenceEncoder) -> CosineExplainer:
    return CosineExplainer(encoder)


@pytest.fixture(scope="session")
def cls_encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """Load the default weights with pooling by the first token."""
    folder = tmp_path_factory.mktemp("cls") / "model"
    shutil.copytree(locate("sentence-transformers/all-MiniLM-L6-v2"), folder)
    config = folder / "1_Pooling" / "config.json"
    pooling = json.loads(config.read_text())
    changed = {**pooling, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    config.write_text(json.dumps({name: value for name, value in changed.items() if name != "pooling_mode"}))
    return load_encoder(folder, runtime="torch", precision="f32")


@pytest.fixture(scope="session")
def prompted_encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """Load the default weights with prompts that pooling leaves out."""
    folder = tmp_path_factory.mktemp("prompted") / "model"
    shutil.copytree(locate("sentence-transformers/all-MiniLM-L6-v2"), folder)
    config = folder / "1_Pooling" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "include_prompt": False}))
    settings_file = folder / "config_sentence_transformers.json"
    known = json.loads(settings_file.read_text()) if settings_file.exists() else {}
    settings_file.write_text(json.dumps({**known, "prompts": {"query": "query: ", "document": "passage: "}}))
    return load_encoder(folder, runtime="torch", precision="f32")


def cosine(encoder: SentenceEncoder, query: str, parts: list[TextPart]) -> float:
    return float(encoder.encode_queries([query])[0] @ encoder.encode_passages([joined("", parts)])[0])


def explained(encoder: SentenceEncoder, query: str, parts: list[TextPart]) -> DenseExplanation:
    return CosineExplainer(encoder).explain(query, [parts], [cosine(encoder, query, parts)])[0]


@settings(max_examples=12, deadline=None)
@given(query=WORDS, title=TITLES, text=WORDS)
@example(query="long", title="", text="word " * 400)  # more than the encoder reads
def test_parts_add_up_to_the_score(
    encoder: SentenceEncoder, explainer: CosineExplainer, query: str, title: str, text: str
) -> None:
    parts = [TextPart("title", title), TextPart("heading", ""), TextPart("text", text)]
    why = explainer.explain(query, [parts], [cosine(encoder, query, parts)])[0]
    pairs = np.array(why.pairs)
    assert why.exact
    assert abs(why.remainder) < 1e-5
    assert abs(why.score - pairs.sum()) < 1e-4
    np.testing.assert_allclose(pairs.sum(1), [word.score for word in why.query], atol=1e-6)
    np.testing.assert_allclose(pairs.sum(0), [word.score for word in why.passage], atol=1e-6)


def test_rounding_of_the_stored_vectors_is_told_and_spread(
    explainer: CosineExplainer, encoder: SentenceEncoder
) -> None:
    parts = [TextPart("text", "aspirin and stroke")]
    shown = cosine(encoder, "aspirin", parts) + 0.003
    why = explainer.explain("aspirin", [parts], [shown])[0]
    assert why.remainder == pytest.approx(0.003, abs=1e-5)
    assert np.array(why.pairs).sum() == pytest.approx(shown, abs=1e-5)


@settings(max_examples=12, deadline=None)
@given(query=WORDS, title=TITLES, text=WORDS)
def test_words_stand_where_they_say(explainer: CosineExplainer, query: str, title: str, text: str) -> None:
    why = explainer.explain(query, [[TextPart("title", title), TextPart("text", text)]], [0.0])[0]
    places = {"title": title, "text": text, SPECIAL: ""}
    for word in why.passage:
        assert places[word.place][word.start : word.end] == word.word
    assert "".join(word.word for word in why.query) == query.replace(" ", "")
    assert "".join(word.word for word in why.passage if word.place == "text") == text.replace(" ", "")


def test_word_pieces_become_words(explainer: CosineExplainer) -> None:
    why = explainer.explain("whitespace", [[TextPart("text", "Antidisestablishmentarianism wins")]], [0.0])[0]
    assert [word.word for word in why.query] == ["", "whitespace"]
    assert [word.word for word in why.passage] == ["", "Antidisestablishmentarianism", "wins"]
    assert [word.place for word in why.passage] == [SPECIAL, "text", "text"]


def test_the_matching_words_carry_the_score(encoder: SentenceEncoder) -> None:
    text = "The cat sat on the mat. Aspirin lowers the risk of stroke. It rained all day."
    why = explained(encoder, "does aspirin prevent strokes", [TextPart("text", text)])
    best = why.spans[0]
    assert "Aspirin" in text[best.start : best.end] or "stroke" in text[best.start : best.end]
    assert max(why.passage, key=lambda word: word.score).word in {"Aspirin", "stroke"}


def test_prompts_are_listed_as_such(prompted_encoder: SentenceEncoder) -> None:
    why = explained(prompted_encoder, "aspirin", [TextPart("text", "aspirin and stroke")])
    assert [word.word for word in why.query if word.place == "prompt"] == ["query", ":"]
    assert [word.word for word in why.passage if word.place == "prompt"] == ["passage", ":"]
    assert all(word.score == 0 for word in (*why.query, *why.passage) if word.place == "prompt")
    assert abs(why.remainder) < 1e-4


def test_without_a_sum_words_are_left_out_and_the_note_says_so(cls_encoder: SentenceEncoder) -> None:
    query, parts = (
        "aspirin and stroke",
        [TextPart("title", "Trial"), TextPart("text", "Aspirin lowers the risk of stroke.")],
    )
    why = explained(cls_encoder, query, parts)
    assert not why.exact
    assert why.pairs == ()
    assert "do not add up" in why.note
    aspirin = next(word for word in why.query if word.word == "aspirin")
    assert aspirin.score == pytest.approx(why.score - cosine(cls_encoder, "and stroke", parts), abs=1e-5)
    assert [word.word for word in why.passage][:3] == ["Trial", "Aspirin", "lowers"]


def test_long_texts_lose_several_words_at_a_time(cls_encoder: SentenceEncoder) -> None:
    why = explained(cls_encoder, "stroke", [TextPart("text", "one two three four " * 40)])
    assert len(why.passage) == 160
    assert why.passage[0].score == why.passage[1].score == why.passage[2].score


def test_cutting_words_out() -> None:
    parts = [TextPart("title", "a b"), TextPart("text", "one two three")]
    kept = without(parts, [AlignedWord("two", "text", 4, 7), AlignedWord("a", "title", 0, 1)])
    assert kept == [TextPart("title", "b"), TextPart("text", "one three")]


def test_attention_of_words_is_a_distribution(explainer: CosineExplainer) -> None:
    seen = explainer.attention([TextPart("title", "str.rstrip"), TextPart("text", "Remove trailing whitespace.")], 3)
    assert seen.weights.shape == (seen.heads, len(seen.words), len(seen.words))
    np.testing.assert_allclose(seen.weights.sum(-1), 1, atol=1e-5)
    assert [word.text for word in seen.words][1:4] == ["str", ".", "rstrip"]


@pytest.mark.parametrize("layer", [-1, 6])
def test_a_layer_that_is_not_there(explainer: CosineExplainer, layer: int) -> None:
    with pytest.raises(BadQuery, match="layers 0 to 5"):
        explainer.attention([TextPart("text", "x")], layer)


@given(st.lists(st.integers(-5, 5), max_size=12))
def test_maximal_subsequences_are_those_of_the_definition(scores: list[int]) -> None:
    """Find the best subsequence, then the best ones on both sides of it, and so on."""

    def best_first(offset: int, values: list[int]) -> list[tuple[int, int]]:
        totals = [0, *accumulate(values)]
        stretches = [(totals[b] - totals[a], a - b, a, b) for b in range(len(totals)) for a in range(b)]
        gain, _, a, b = max(stretches, default=(0, 0, 0, 0))
        if gain <= 0:
            return []
        left, right = best_first(offset, values[:a]), best_first(offset + b, values[b:])
        return [*left, (offset + a, offset + b), *right]

    found = maximal_subsequences(scores)
    expected = best_first(0, scores)
    assert sum(scores[a] for s in found for a in range(*s)) == sum(scores[a] for s in expected for a in range(*s))
    assert all(sum(scores[a:b]) > 0 for a, b in found)
    assert all(first[1] <= second[0] for first, second in pairwise(found))


def test_spans_are_shares_of_the_text() -> None:
    words = [WordPart("a", "text", 0, 1, 0.1), WordPart("b", "text", 2, 3, 0.5), WordPart("t", "title", 0, 1, 9.0)]
    (span,) = best_spans(words)
    assert (span.start, span.end, span.score) == (2, 3, pytest.approx(0.5 / 0.6))
    assert best_spans([]) == ()


def test_spans_of_plain_texts(explainer: CosineExplainer) -> None:
    texts = ["It rained. Aspirin lowers the risk of stroke. Cats sleep.", "", "aspirin"]
    first, empty, short = explainer.spans("does aspirin prevent strokes", texts, max_spans=2)
    best = texts[0][first[0].start : first[0].end]
    assert "Aspirin" in best or "stroke" in best
    assert best[0].isalnum()
    assert best[-1].isalnum()
    assert len(first) <= 2
    assert empty == ()
    assert [(span.start, span.end) for span in short] == [(0, 7)]
