"""Judgments are kept one for each query and document, whatever else happens to the collection."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.errors import CorruptCollection, InputError
from retrieval.index.collection.judgments import JUDGMENTS, judge, read_judgments

SAID = st.lists(
    st.tuples(st.sampled_from(["a", "b c"]), st.sampled_from(["1", "2", "3"]), st.sampled_from([None, 0, 1, 2, 3]))
)


@given(SAID)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_last_word_counts(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str, int | None]]
) -> None:
    folder = tmp_path_factory.mktemp("collection")
    expected: dict[tuple[str, str], int] = {}
    for query, document, grade in said:
        returned = judge(folder, query, document, grade)
        expected.pop((query, document), None) if grade is None else expected.update({(query, document): grade})
        assert {(each.query, each.document): each.grade for each in returned} == expected
    assert {(each.query, each.document): each.grade for each in read_judgments(folder)} == expected


def test_nobody_judged(tmp_path: Path) -> None:
    assert read_judgments(tmp_path) == ()


def test_two_at_once_are_both_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: judge(tmp_path, "q", str(number), 1), range(24)))
    assert {each.document for each in read_judgments(tmp_path)} == set(map(str, range(24)))


def test_white_space_in_a_query_does_not_matter(tmp_path: Path) -> None:
    judge(tmp_path, "one  two ", "d", 1)
    (judgment,) = judge(tmp_path, " one two", "d", 2)
    assert (judgment.query, judgment.grade) == ("one two", 2)


@pytest.mark.parametrize(("query", "document", "grade"), [(" ", "d", 1), ("q", "", 1), ("q", "d", 4), ("q", "d", -1)])
def test_what_cannot_be_judged(tmp_path: Path, query: str, document: str, grade: int) -> None:
    with pytest.raises(InputError):
        judge(tmp_path, query, document, grade)
    assert not (tmp_path / JUDGMENTS).exists()


@pytest.mark.parametrize("content", ["", "[]", '{"judgments": [{"query": 1}]}', "\udcff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / JUDGMENTS).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CorruptCollection, match=JUDGMENTS):
        read_judgments(tmp_path)


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    judge(tmp_path, "größe", "d", 3)
    content = json.loads((tmp_path / JUDGMENTS).read_text(encoding="utf-8"))
    assert content["version"] == 1
    assert content["judgments"][0]["query"] == "größe"
