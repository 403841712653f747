"""Words and terms: examples, and properties of any text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.lexical.analyzer import _WORD, MAX_TERM, Analyzer

ENGLISH = Analyzer("english")
PLAIN = Analyzer("none")
TEXTS = st.text(
    alphabet=st.sampled_from("aBc9_.'’s+#- \n\x1e户法한ガﾞｶＡé\u0301\u00ad\u200d😀สัह") | st.characters(), max_size=40
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The running models", ["the", "run", "model"]),
        ("str.rstrip", ["str.rstrip", "str", "rstrip"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("__init__", ["__init__", "init"]),
        ("camelCase", ["camelcas", "camel", "case"]),
        ("camelcase", ["camelcas"]),
        ("HTTPServer3 p53A", ["httpserver3", "http", "server3", "p53a"]),
        ("HTTPServer URLs", ["httpserver", "http", "server", "url"]),
        ("C++ and C#", ["c++", "c", "and", "c#", "c"]),
        ("np.matrixNorm", ["np.matrixnorm", "np", "matrixnorm", "matrix", "norm"]),
        ("a sentence.", ["a", "sentenc"]),
        ("Bernoulli's O’Neill’s don't", ["bernoulli", "o", "neill", "don", "t"]),
        ("IL-6 p53", ["il", "6", "p53"]),
        ("个体户", ["个体", "个", "体户", "体", "户"]),
        ("第54条", ["第", "54", "条"]),
        ("Ｃ＋＋ １２", ["c++", "c", "12"]),
        ("ｶﾞｷﾞ", ["ガギ", "ガ", "ギ"]),
        ("cafe\u0301", ["cafe"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("co\u00adoperate", ["cooper"]),
        ("___ ''' \u202e 😀 \x00", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert ENGLISH.terms(ENGLISH.split(text)) == terms


def test_languages() -> None:
    assert Analyzer("german").terms(["Häuser"]) == ["haus"]
    assert PLAIN.terms(["Running"]) == ["running"]


def test_parts_take_the_places_of_the_words_that_they_are() -> None:
    form = PLAIN.analyze_word("np.matrixNorm")
    assert dict(zip(form.terms, form.offsets, strict=True)) == {
        "np.matrixnorm": 0,
        "np": 0,
        "matrixnorm": 1,
        "matrix": 1,
        "norm": 2,
    }
    assert form.width == 3
    assert [PLAIN.analyze_word(word).width for word in PLAIN.split("个体户")] == [0, 1, 0, 1, 1]


def test_long_words_are_cut() -> None:
    assert PLAIN.terms(["x" * 5000]) == ["x" * MAX_TERM]


def test_places_are_those_of_the_text_as_given() -> None:
    text = "Ａé e\u0301 ｶﾞｷﾞ"
    assert [text[word.start : word.end] for word in PLAIN.locate(text)] == ["Ａé", "e\u0301", "ｶﾞｷﾞ", "ｶﾞ", "ｷﾞ"]


@given(TEXTS)
def test_any_text_has_terms_that_can_be_kept(text: str) -> None:
    for word in ENGLISH.split(text):
        form = ENGLISH.analyze_word(word)
        assert len(form.terms) == len(form.offsets)
        assert all(term.encode() and len(term) <= MAX_TERM for term in form.terms)
        assert all(0 <= offset <= max(0, form.width) for offset in form.offsets)


@given(TEXTS)
def test_normal_forms_have_the_same_terms(text: str) -> None:
    normal = unicodedata.normalize("NFKC", text)
    assert PLAIN.terms(PLAIN.split(text)) == PLAIN.terms(PLAIN.split(normal))


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_path_for_ascii_splits_as_the_other(text: str) -> None:
    assert PLAIN.split(text) == _WORD.findall(text)


@given(TEXTS)
def test_words_of_ascii_split_as_they_stand(text: str) -> None:
    assert all(PLAIN.split(word) == [word] for word in PLAIN.split(text) if word.isascii())


@given(TEXTS)
def test_located_words_lie_within_the_text(text: str) -> None:
    words = PLAIN.locate(text)
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    if unicodedata.is_normalized("NFKC", text):
        assert all(text[word.start : word.end] == word.text for word in words)
        assert [word.text for word in words] == PLAIN.split(text)


@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0f71\u0f72", "\u0344", "\u3099"])
def test_many_marks_are_cut_alike_in_words_and_places(marks: str) -> None:
    text = f"{marks * 40} a{marks * 40}b ガ{marks * 40} \n{marks * 40}"
    assert [word.text for word in PLAIN.locate(text)] == PLAIN.split(text)
    short = f"a{marks * 2}"
    assert PLAIN.split(short) == [unicodedata.normalize("NFKC", short)]
