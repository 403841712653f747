"""The filter `ids(…)`: the documents with one of these ids, as brute force finds them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.search.searcher import Searcher
from retrieval.types import Matching, Mode, SearchRequest

REQUEST = SearchRequest("trees with flowers", k=200, matching=Matching.ALL)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@settings(max_examples=20)
@given(data=st.data())
def test_hits_have_one_of_the_ids(library: Searcher, mode: Mode, data: st.DataObject) -> None:
    ranked = [hit.id for hit in library.search(replace(REQUEST, mode=mode)).hits]
    every = library.reader.ids(range(len(library.reader.live_documents)))
    wanted = data.draw(st.lists(st.sampled_from([*every, "missing", 'a "quote"'])))
    quoted = ", ".join('"' + each.replace('"', r"\"") + '"' for each in wanted)
    for expression, kept in ((f"ids({quoted})", True), (f"NOT ids({quoted})", False)):
        found = [hit.id for hit in library.search(replace(REQUEST, mode=mode, filter=expression)).hits]
        assert set(found) == {each for each in ranked if (each in wanted) is kept}
