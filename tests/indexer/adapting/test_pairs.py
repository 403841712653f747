"""Pairs from documents and judgments, with texts that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.adapting.pairs import DOCUMENT_KINDS, TrainingPair, TrainingPassage, shortened
from retrieval.types import Document, Section

TEXT = (
    "The gannet dives for fish. It can fall from a height of thirty metres. How deep does the gannet dive? It reaches "
    "ten metres below the surface. Its skull takes the blow. The nostrils lie inside the bill."
)
DOCUMENT = Document(
    "gannet",
    TEXT,
    "The diving gannet",
    {},
    (Section(0, 26, "", ""), Section(27, 70, "", "Gannet › Height of the fall")),
)


def drawn(kind: str, document: Document = DOCUMENT, seed: int = 0) -> tuple[str, str]:
    found = DOCUMENT_KINDS[kind](document, np.random.default_rng(seed))
    assert found is not None
    return found


def test_a_title_leads_to_a_part_of_the_text() -> None:
    query, passage = drawn("title")
    assert query == "The diving gannet"
    assert passage in TEXT


def test_a_heading_leads_to_its_section() -> None:
    assert drawn("heading") == ("Gannet › Height of the fall", TEXT[27:70])


@pytest.mark.parametrize("seed", range(5))
def test_a_sentence_is_taken_out_of_its_surroundings(seed: int) -> None:
    query, passage = drawn("cloze", seed=seed)
    assert query in TEXT
    assert query not in passage
    assert passage.startswith("The diving gannet ")


@pytest.mark.parametrize("seed", range(5))
def test_two_crops_are_parts_of_the_text(seed: int) -> None:
    query, passage = drawn("crops", seed=seed)
    assert query in TEXT
    assert passage in TEXT


def test_a_question_leads_to_the_text_after_it() -> None:
    query, passage = drawn("question")
    assert query == "How deep does the gannet dive?"
    assert passage.startswith("It reaches ten metres")


@pytest.mark.parametrize("kind", ["title", "heading", "question"])
def test_a_document_without_the_part_gives_no_pair(kind: str) -> None:
    plain = Document("plain", "One sentence. Another sentence. A third one.")
    assert DOCUMENT_KINDS[kind](plain, np.random.default_rng(0)) is None


def test_chinese_questions_are_found() -> None:
    document = Document("法", "租房合同到期后房东不退押金怎么办？可以先与房东协商。协商不成可以向法院起诉。")
    query, passage = drawn("question", document)
    assert query == "租房合同到期后房东不退押金怎么办？"
    assert passage == "可以先与房东协商。 协商不成可以向法院起诉。"


def test_a_shortened_query_keeps_the_order_of_its_words() -> None:
    words = [f"w{i}" for i in range(20)]
    pair = TrainingPair("title", " ".join(words), TrainingPassage("a", "text"), frozenset("a"))
    short = shortened(pair, np.random.default_rng(1), 0.3).query.split()
    assert 4 <= len(short) < 20
    assert short == [word for word in words if word in short]
    assert shortened(pair, np.random.default_rng(1), 0.0) == pair
