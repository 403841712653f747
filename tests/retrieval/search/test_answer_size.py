"""Lean answers: tokens, neighbours, passages as hits, and how much of a document a hit has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import BadQuery
from retrieval.results import Hit, PassageHit, TotalRelation
from retrieval.search.answer_size import first_part, fit_hits
from retrieval.search.plan import make_plan, open_ranker
from retrieval.search.readability import Readability
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Detail, Document, GroupBy, Included, Mode, SearchRequest

REQUEST = SearchRequest("trees and squirrels", k=12, passages_per_document=2)


class WordTokenizer:
    """Every word is a token."""

    max_tokens = 8

    def spans(self, text: str) -> np.ndarray:
        import re

        found = [match.span() for match in re.finditer(r"\w+", text)]
        return np.array(found, np.int32).reshape(-1, 2)


def words(text: str) -> int:
    return len(WordTokenizer().spans(text))


def hit(*passages: PassageHit) -> Hit:
    return Hit(1, "a", 1.0, "", "", {}, passages)


def passage(text: str, before: str = "", after: str = "") -> PassageHit:
    return PassageHit(text, 10, 10 + len(text), 1.0, before=before, after=after)


def test_a_passage_is_cut_at_the_end_of_a_sentence() -> None:
    fitted = fit_hits([hit(passage("One two. Three four five. Six."))], 4, WordTokenizer())
    [cut] = fitted.hits[0].passages
    assert (cut.text, cut.start, cut.end, cut.tokens, fitted.truncated) == ("One two.", 10, 18, 2, True)


def test_the_first_hit_has_text_even_if_its_sentence_is_too_long() -> None:
    fitted = fit_hits([hit(passage("One two three four."))], 2, WordTokenizer())
    assert fitted.hits[0].passages[0].text == "One two"


def test_later_hits_without_room_are_left_out() -> None:
    long = passage("One two three four five six.")
    fitted = fit_hits([hit(passage("One two.")), hit(long), hit(passage("One."))], 5, WordTokenizer())
    assert (len(fitted.hits), fitted.truncated) == (1, True)


def test_texts_around_are_cut_at_their_far_ends() -> None:
    whole = passage("One.", before="Two three. Four five.", after="Six seven. Eight nine.")
    [cut] = fit_hits([hit(whole)], 9, WordTokenizer()).hits[0].passages
    assert (cut.before, cut.text, cut.after) == ("Two three. Four five.", "One.", "Six seven. Eight nine.")
    [cut] = fit_hits([hit(whole)], 7, WordTokenizer()).hits[0].passages
    assert (cut.before, cut.text, cut.after) == ("Four five.", "One.", "Six seven. Eight nine.")
    [cut] = fit_hits([hit(whole)], 4, WordTokenizer()).hits[0].passages
    assert (cut.before, cut.text, cut.after) == ("", "One.", "Six seven.")


TEXT = st.text("ab .!\n", max_size=40)


@given(st.lists(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=3), max_size=4), st.integers(1, 30))
def test_the_limit_holds_and_nothing_is_lost_without_need(texts: list[list[tuple[str, str, str]]], limit: int) -> None:
    hits = [hit(*(passage(text, before, after) for before, text, after in each)) for each in texts]
    fitted = fit_hits(hits, limit, WordTokenizer())
    shown = [part for each in fitted.hits for one in each.passages for part in (one.before, one.text, one.after)]
    whole = [part for each in hits for one in each.passages for part in (one.before, one.text, one.after)]
    assert sum(map(words, shown)) <= limit
    assert fitted.truncated == (sum(map(words, whole)) > limit)
    if hits and words(hits[0].passages[0].text):
        assert words(fitted.hits[0].passages[0].text) > 0


@given(st.text("ab .!\n中", max_size=200), st.integers(1, 30))
def test_parts_within_the_limit_make_the_whole_text(text: str, limit: int) -> None:
    parts, rest = list[str](), text
    while rest:
        parts.append(first_part(rest, limit, WordTokenizer()))
        assert parts[-1]
        rest = rest[len(parts[-1]) :]
    assert "".join(parts) == text
    assert max(map(words, parts), default=0) <= limit


def test_the_passages_of_an_answer_have_at_most_the_tokens_asked_for(library: Searcher) -> None:
    whole = library.search(replace(REQUEST, include=(Included.TOKENS,)))
    tokens = [one.tokens or 0 for each in whole.hits for one in each.passages]
    assert min(tokens) > 0
    bounded = library.search(replace(REQUEST, max_tokens=sum(tokens) // 2))
    kept = [one for each in bounded.hits for one in each.passages]
    assert 0 < sum(one.tokens or 0 for one in kept) <= sum(tokens) // 2
    assert (bounded.truncated, bounded.next_offset) == (True, len(bounded.hits))
    assert bounded.hits[0] == whole.hits[0]
    rest = library.search(replace(REQUEST, offset=len(bounded.hits), k=1))
    assert rest.hits[0].id == whole.hits[len(bounded.hits)].id
    unbounded = library.search(replace(REQUEST, max_tokens=sum(tokens)))
    assert (unbounded.hits, unbounded.truncated, unbounded.next_offset) == (whole.hits, False, None)


def test_neighbours_are_the_texts_around(long: Searcher) -> None:
    [found] = long.search(SearchRequest("paragraph seventeen", k=1, neighbours=1)).hits
    text = long.document(found.id).text
    rows = np.flatnonzero(long.reader.document_of == long.reader.document_row(found.id))
    passages = long.reader.passages(rows)
    for shown in found.passages:
        assert passages[shown.number - 1].start == shown.start
        first, last = passages[max(0, shown.number - 2)], passages[min(len(passages), shown.number + 1) - 1]
        assert shown.before + shown.text + shown.after == text[first.start : last.end]
        assert shown.previous == (shown.number - 1 if shown.number > 1 else None)
        assert shown.next == (shown.number + 1 if shown.number < len(passages) else None)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("filter_", ["", "year > 2002"])
def test_passages_as_hits_are_ranked_counted_and_paged(library: Searcher, mode: Mode, filter_: str) -> None:
    request = replace(REQUEST, mode=mode, filter=filter_, group_by=GroupBy.NONE, k=7)
    expected = all_passages(library, request)
    pages = [library.search(replace(request, offset=offset)) for offset in range(0, len(expected) + 7, 7)]
    hits = [each for page in pages for each in page.hits]
    assert [(each.id, each.passages[0].start) for each in hits] == expected
    assert [each.rank for each in hits] == list(range(1, len(expected) + 1))
    assert all(len(each.passages) == 1 for each in hits)
    counted = library.search(replace(request, count=True)).total
    assert counted.relation is TotalRelation.EXACT
    in_match_set = library.search(replace(request, k=counted.value, count=True)).hits
    assert library.search(replace(request, min_score=in_match_set[-1].score, count=True)).total.value == counted.value


def all_passages(searcher: Searcher, request: SearchRequest) -> list[tuple[str, int]]:
    """Return (id, start) of all matching passages by (score descending, id, start): brute force."""
    reader = searcher.reader
    [encoded] = searcher.encoded([request])
    plan = make_plan(request, reader, Readability(searcher.encoder.tokenizer))
    ranker, _ = open_ranker(plan, reader, encoded.vector)
    rows = np.flatnonzero(ranker.matches())
    scores = ranker.score(rows).score.tolist()
    ids, passages = reader.ids(reader.document_of[rows]), reader.passages(rows)
    order = sorted(range(len(rows)), key=lambda i: (-scores[i], ids[i], passages[i].start))
    return [(ids[i], passages[i].start) for i in order]


def test_all_passages_are_listed(library: Searcher) -> None:
    found = library.search(SearchRequest("*", k=1_000, group_by=GroupBy.NONE))
    assert len(found.hits) == found.total.value == int(library.reader.live.sum())


def test_a_hit_has_as_much_as_its_detail_says(library: Searcher) -> None:
    plain = library.search(REQUEST).hits
    bare = library.search(replace(REQUEST, detail=Detail.IDS)).hits
    assert [(each.rank, each.id, each.score) for each in bare] == [(each.rank, each.id, each.score) for each in plain]
    assert {(each.title, each.text, each.passages) for each in bare} == {("", "", ())}
    full = library.search(replace(REQUEST, detail=Detail.FULL)).hits
    assert full == library.search(replace(REQUEST, include=(Included.TEXT,))).hits
    assert [each.text for each in full] == [library.document(each.id).text for each in plain]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"neighbours": 11}, "from 0 to 10"),
        ({"max_tokens": 0}, "from 1 to 100,000"),
        ({"max_tokens": 5, "detail": Detail.FULL}, "give one of both"),
        ({"detail": Detail.IDS, "highlight": True}, "leaves nothing for highlight"),
        ({"detail": Detail.IDS, "max_tokens": 9}, "leaves nothing for max_tokens"),
        ({"group_by": GroupBy.NONE, "sort": "year"}, "sort orders documents"),
        ({"include": (Included.TOKENS,), "k": 1_000}, "at most 1,000 passages"),
        ({"detail": "tiny"}, "detail is 'tiny'; it is ids, passages, full"),
    ],
)
def test_contradictions_are_refused(library: Searcher, options: dict[str, object], says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        library.search(replace(REQUEST, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """A document of 40 paragraphs, each of them about the length of a passage."""
    return opened(tmp_path_factory, documents=1, paragraphs=40)


@pytest.mark.slow
def test_five_hits_of_200_page_documents_are_small(tmp_path_factory: pytest.TempPathFactory) -> None:
    with opened(tmp_path_factory, documents=6, paragraphs=200) as searcher:
        answer = orjson.dumps(searcher.search(SearchRequest("paragraph seventeen of the report", k=5)))
    assert len(answer) <= 20_000


def opened(folder: pytest.TempPathFactory, *, documents: int, paragraphs: int) -> Searcher:
    path = folder.mktemp("long") / "long"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    sentence = (
        "Measurements of the boundary layer in section {} of report {} show that the heat flux grows with speed. "
    )
    made = tuple(
        Document(
            f"report-{number}",
            "\n\n".join(sentence.format(page, number) * 22 for page in range(paragraphs)),
            f"Report {number} of the institute for aerodynamics",
            {
                "pages": float(paragraphs),
                "author": "Institute for aerodynamics",
                "file": f"reports/report-{number}.pdf",
            },
        )
        for number in range(documents)
    )
    apply_changes(path, encoder, [CollectionChange(upserts=made)])
    return open_searcher(path, encoder=encoder)
