"""Sentences of a model: divided while they are written, checked against the passages."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.answers.checking import WrittenSentences, check_sentence, cited_ids, without_marks
from retrieval.search.answers.context import ContextLimit
from retrieval.search.answers.extraction import best_sentences
from retrieval.search.answers.packing import find_context
from retrieval.search.answers.sources import SourceSentences
from retrieval.search.searcher import Searcher
from retrieval.types import SearchRequest

WRITTEN = (
    "Aspirin lowers the risk of stroke [1]. It was tested in 2003. [2, 3] Dr. Smith says so【4】.\n"
    "- A list [5]\n- another\n\nThe dose is 3.5 mg [1-3]"
)


def divided(*pieces: str) -> list[str]:
    sentences = WrittenSentences()
    return [sentence for piece in pieces for sentence in sentences.add(piece)] + sentences.rest()


@given(st.lists(st.integers(0, len(WRITTEN)), max_size=20))
def test_sentences_do_not_depend_on_the_pieces(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WRITTEN)]
    pieces = [WRITTEN[start:end] for start, end in itertools.pairwise(edges)]
    assert [(without_marks(each), cited_ids(each)) for each in divided(*pieces)] == [
        ("Aspirin lowers the risk of stroke.", [1]),
        ("It was tested in 2003.", [2, 3]),
        ("Dr. Smith says so.", [4]),
        ("- A list", [5]),
        ("- another", []),
        ("The dose is 3.5 mg", [1, 2, 3]),
    ]


@given(st.lists(st.text("a. [1]\n", max_size=20), max_size=10))
def test_no_text_is_lost(pieces: list[str]) -> None:
    written, shown = "".join(pieces), "".join(divided(*pieces))
    assert without_marks(shown).replace(" ", "").replace("\n", "") == (
        without_marks(written).replace(" ", "").replace("\n", "")
    )


def test_a_sentence_without_an_end_is_bounded() -> None:
    assert all(len(each) <= 2_100 for each in divided(*["word " * 20] * 100))
    assert len(cited_ids("[1-9999]")) <= 101


@pytest.fixture(scope="module")
def sources(library: Searcher) -> SourceSentences:
    context = find_context(library, SearchRequest("comets and oaks", k=50), ContextLimit(2_000))
    return SourceSentences(context.citations, library)


def of_comets(sources: SourceSentences) -> int:
    """Return the id of a citation that is about comets."""
    return next(each.citation.id for each in sources.sentences if "Halley" in each.text)


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("Halley returns every 76 years.", True),
        ("The comet Halley comes back every 76 years.", True),
        ("Comets grow a tail near the sun.", True),
        ("Halley returns every 75 years.", False),
        ("Halley was discovered by Chinese astronomers.", False),
        ("Interest rates rose sharply.", False),
        ("", False),
    ],
)
def test_a_sentence_is_supported_by_a_text_with_its_words_and_numbers(
    sources: SourceSentences, sentence: str, supported: bool
) -> None:
    checked = check_sentence(f"{sentence} [{of_comets(sources)}]", sources)
    assert checked.supported is supported
    assert checked.text == sentence
    for each in checked.citations:
        assert each.text in {one.text for one in sources.sentences}


def test_a_wrong_citation_is_replaced(sources: SourceSentences) -> None:
    wrong = next(each.citation.id for each in sources.sentences if "acorns" in each.text)
    checked = check_sentence(f"Halley returns every 76 years [{wrong}][999].", sources)
    assert checked.dropped == (wrong, 999)
    assert "Halley" in checked.citations[0].text


def test_the_best_sentences_answer_without_a_model(sources: SourceSentences) -> None:
    chosen = best_sentences("how often does Halley return", sources, 3)
    assert chosen[0].text == "Halley returns every 76 years."
    texts = [each.text for each in chosen]
    assert len(set(texts)) == len(texts) <= 3
