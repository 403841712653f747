"""Which letters count as equal, by language; and the words of version 1, which folds none."""

from __future__ import annotations

import unicodedata

import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.folding import OWN_LETTERS, SPELLINGS, Folding

LANGUAGES = ["none", *Stemmer.algorithms()]


def terms_of(analyzer: Analyzer, text: str) -> list[str]:
    return analyzer.terms(analyzer.split(text))


@pytest.mark.parametrize(
    ("language", "groups"),
    [
        ("turkish", ["istanbul İSTANBUL Istanbul ISTANBUL ıstanbul i\u0307stanbul", "ışıklar IŞIKLAR Işıklar"]),
        ("turkish", ["diyarbakır DİYARBAKIR Diyarbakır", "information INFORMATION", "kâr kar", "göz GÖZ", "goz"]),
        ("turkish", ["Bakı BAKI", "İRAN İran iran"]),  # Azeri has the same i and ı
        (
            "english",
            [
                "café cafe CAFÉ cafe\u0301 ＣＡＦÉ",
                "İstanbul istanbul",
                "résumé resume",
                "ﬁ fi",
                "Straße STRASSE STRAẞE",
            ],
        ),
        ("english", ["Hà_Nội ha_noi HÀ_NỘI", "Łódź lodz", "Ærø aero", "naïve naive", "Þór thor"]),
        ("english", ["Αθήνα ΑΘΉΝΑ ΑΘΗΝΑ αθηνα", "ёлка елка", "мой", "мои", "за\u0301мок замок"]),
        ("german", ["größe GRÖSSE Grösse größe GRO\u0308ẞE", "Müller MÜLLER Mueller", "Café cafe"]),
        ("french", ["élève ELEVE Élève eleve", "garçon GARCON", "cœur coeur COEUR", "où ou"]),
        ("spanish", ["canción CANCION cancion", "año AÑO an\u0303o", "ano", "pingüino pinguino"]),
        ("portuguese", ["coração CORAÇÃO coracao", "avó avo"]),
        ("italian", ["perché perche PERCHÉ"]),
        ("swedish", ["får FÅR fa\u030ar", "far", "kött køtt", "kort", "idé ide"]),
        ("finnish", ["sää SÄÄ", "saa"]),
        ("danish", ["rød RØD röd", "rod", "Ærø ærø Ärö", "på", "pa", "idé ide"]),
        ("norwegian", ["blåbær BLÅBÆR blåbär", "blabar"]),
        ("greek", ["Αθήνα ΑΘΗΝΑ αθηνα Αθη\u0301να", "οδός ΟΔΟΣ οδοσ"]),
        ("romanian", ["școală şcoală ȘCOALĂ ŞCOALĂ s\u0326coală", "scoala", "țară ţară ŢARĂ"]),
        ("hungarian", ["őr ör ŐR", "or", "ház haz"]),
        ("polish", ["łódka ŁÓDKA", "lodka"]),
        ("russian", ["ёлка елка ЁЛКА", "мой МОЙ мои\u0306", "за\u0301мок замок"]),
        ("arabic", ["كِتَابٌ كتاب كتـــاب"]),
        ("hindi", ["हिन्दी", "हिनद"]),
        (
            "none",
            ["má MÁ ma\u0301", "ma", "mà", "mạ", "İzmir izmir i\u0307zmir", "ＡＢＣ abc"],
        ),
        ("none", ["שָׁלוֹם שלום", "كِتَابٌ كتاب كتـــاب", "café", "cafe", "straße", "strasse"]),
        ("english", ["שָׁלוֹם שלום", "كِتَابٌ كتاب"]),
        ("yiddish", ["פּאָװער פאװער"]),
    ],
)
def test_words_of_a_group_are_equal_and_others_differ(language: str, groups: list[str]) -> None:
    analyzer = Analyzer(language)
    terms = [{tuple(terms_of(analyzer, word)) for word in group.split()} for group in groups]
    assert [len(found) for found in terms] == [1] * len(groups), terms
    assert len(set.union(*terms)) == len(groups), terms


@pytest.mark.parametrize("language", OWN_LETTERS)
def test_own_letters_stay_and_other_spellings_become_own_letters(language: str) -> None:
    folding = Folding(language)
    assert [folding.fold(letter) for letter in OWN_LETTERS[language]] == list(OWN_LETTERS[language])
    assert set(SPELLINGS.get(language, {}).values()) <= set(OWN_LETTERS[language])


@settings(deadline=None)
@given(st.sampled_from(LANGUAGES), st.text(max_size=20))
def test_folding_again_changes_nothing_and_normal_forms_are_equal(language: str, text: str) -> None:
    folding, analyzer = Folding(language), Analyzer(language)
    once = folding.fold(text)
    assert folding.fold(once) == once
    normal_forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert len({tuple(terms_of(analyzer, form)) for form in normal_forms}) == 1


@settings(deadline=None)
@given(st.sampled_from([each for each in LANGUAGES if each != "turkish"]), st.text(st.characters(max_codepoint=127)))
def test_plain_letters_have_the_terms_of_version_1(language: str, text: str) -> None:
    assert terms_of(Analyzer(language), text) == terms_of(Analyzer(language, 1), text)


def test_version_1_folds_nothing() -> None:
    assert terms_of(Analyzer("english", 1), "Café İstanbul") == ["café", "i̇stanbul"]
    assert terms_of(Analyzer("turkish", 1), "IŞIKLAR") != terms_of(Analyzer("turkish"), "IŞIKLAR") == ["işik"]
