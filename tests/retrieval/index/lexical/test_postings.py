"""One segment of two passages, with all its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.index.lexical.postings import LiveRows, LiveSegment, Postings, TermPostings, compact
from tests.retrieval.index.lexical.samples import make_segment


@pytest.fixture
def postings(tmp_path: Path) -> Postings:
    #            title    text; position 1 is the gap after a title of one word
    return make_segment(tmp_path, ("cat", "the cat and the dog"), ("", "dog"), title_weight=3.0)


def test_terms_are_numbered_in_the_order_of_their_bytes(postings: Postings) -> None:
    assert [postings.find(term) for term in ("and", "cat", "dog", "the")] == [0, 1, 2, 3]
    assert postings.find("bird") is None
    assert postings.num_terms == 4


def test_a_term_has_passages_frequencies_counts_and_positions(postings: Postings) -> None:
    assert postings.passages_of(2).tolist() == [0, 1]  # dog
    assert postings.counts_of(1).tolist() == [2]  # cat: once in the title, once in the text
    assert postings.frequencies_of(1).tolist() == [3 + 1]
    assert postings.positions_of(1).tolist() == [0, 3]  # the title is at 0; the text, "the cat …", starts at 2
    assert postings.positions_of(3).tolist() == [2, 5]


def test_lengths_count_the_title_with_its_weight(postings: Postings) -> None:
    assert postings.passages["key"].tolist() == [10, 20]
    assert postings.passages["length"].tolist() == [3 + 5, 1]


def test_the_lexicon_bounds_each_term(postings: Postings) -> None:
    assert postings.lexicon["most"].tolist()[:4] == [1, 4, 1, 2]
    assert postings.lexicon["sparsest"].tolist()[:4] == [8 / 1, 8 / 4, 1 / 1, 8 / 2]


def test_a_row_is_that_of_the_key_and_deleted_passages_have_none(postings: Postings) -> None:
    keys = np.array([5, 10, 20], np.uint64)  # rows 0 to 2
    live = LiveSegment.locate(postings, keys, np.array([True, True, True]))
    assert (live.rows.tolist(), live.first_row) == ([1, 2], 1)
    live = LiveSegment.locate(postings, keys, np.array([True, False, True]))
    assert (live.rows.tolist(), live.first_row) == ([-1, 2], None)


def test_live_rows_of_a_term(postings: Postings) -> None:
    live = LiveSegment.locate(postings, np.array([10, 20], np.uint64), np.array([False, True]))
    dog = TermPostings(0, live, postings.passages_of(2), postings.frequencies_of(2), 1.0, 1.0)
    assert dog.doc_freq == 1
    assert [values.tolist() for values in dog.live_rows(None)] == [[1], [1]]
    assert [values.tolist() for values in dog.live_rows(np.array([True, False]))] == [[], []]


def test_rows_are_located_in_their_segments(tmp_path: Path) -> None:
    keys = np.array([10, 11, 20], np.uint64)
    live = LiveSegment.locate(make_segment(tmp_path, ("", "a"), ("", "b c")), keys, np.ones(3, np.bool_))
    rows = LiveRows.of([live], 3)
    assert rows.segment_of.tolist() == [0, -1, 0]  # the segment has no passage with the key 11
    assert rows.lengths.tolist() == [1, 0, 2]
    (located,) = rows.locate(np.array([2, 1, 0]))
    assert located.indices.tolist() == [0, 2]
    assert located.passages.tolist() == [1, 0]


def test_numbers_take_the_smallest_type() -> None:
    assert compact(np.array([0, 255])).dtype == np.uint8
    assert compact(np.array([0, 256])).dtype == np.uint16
    assert compact(np.array([0.5])).dtype == np.float32
