"""The inversion of many texts finds the same terms as the analysis of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.index.lexical import inverter as inversion
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.inverter import Occurrences, Vocabulary

ENGLISH = Analyzer("english")
TEXTS = st.text(
    alphabet=st.sampled_from("aBcs9__..''’++## \n\x00\x1e\x7f户法한ガﾞｶＡé\u0301\u00ad\u200d\u2028\ud800😀สัह")
    | st.characters(),
    max_size=30,
)
PLAIN_TEXTS = st.text(alphabet="aBs9_.'+# \n\x00-\x1f", max_size=30)


def placed(text: str) -> tuple[list[tuple[str, int]], int]:
    """Return the terms of a text with their positions, and the text's width."""
    found, width = [], 0
    for word in ENGLISH.split(text):
        form = ENGLISH.analyze_word(word)
        found += [(term, width + offset) for term, offset in zip(form.terms, form.offsets, strict=True)]
        width += form.width
    return found, width


@settings(deadline=None)
@given(blocks=st.lists(st.lists(TEXTS | PLAIN_TEXTS, max_size=4), max_size=3))
def test_texts_together_have_the_terms_of_each(blocks: list[list[str]]) -> None:
    vocabulary = Vocabulary(ENGLISH, {})
    for texts in blocks:
        forms = vocabulary.analyze(texts)
        known = list(vocabulary.term_numbers)
        for text, first, count, width in zip(texts, forms.first, forms.count, forms.width, strict=True):
            mine = slice(first, first + count)
            terms = [known[number] for number in forms.terms[mine]]
            assert (list(zip(terms, forms.offsets[mine].tolist(), strict=True)), width) == placed(text)


NUMBERS = st.integers(0, 5) | st.integers(0, (1 << 31) - 1)


@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS)), key_bits=st.sampled_from([0, 64]))
def test_occurrences_are_sorted_whether_or_not_they_fit_a_key(rows: list[tuple[int, int, int]], key_bits: int) -> None:
    columns = np.array(rows, np.int32).reshape(-1, 3).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inversion, "_KEY_BITS", key_bits)
        found = Occurrences(*columns).sorted()
    assert list(zip(found.term, found.passage, found.position, strict=True)) == sorted(rows)
