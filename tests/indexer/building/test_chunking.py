"""Passages cover their text, keep to the token budget and end where sentences end."""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.building import chunking
from indexer.building.chunking import MIN_BUDGET, chunk
from retrieval.index.storage.settings import ChunkSettings
from retrieval.types import Document, Passage, Section
from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries


class Words:
    """A tokenizer of words, and of single characters where a script has no spaces."""

    def __init__(self, max_tokens: int = 20) -> None:
        self.max_tokens = max_tokens

    def spans(self, text: str) -> NDArray[np.int32]:
        found = [match.span() for match in re.finditer(r"[^\W\u4e00-\u9fff]+|[^\s]", text)]
        return np.array(found, np.int32).reshape(-1, 2)


class SpacedPieces(Words):
    """Words whose tokens include the space before them, as in sentence-piece models."""

    def spans(self, text: str) -> NDArray[np.int32]:
        return np.array([match.span() for match in re.finditer(r"\s?\S{1,4}", text)], np.int32).reshape(-1, 2)


class Bytes(Words):
    """One token a byte: several tokens share the offsets of one character."""

    def spans(self, text: str) -> NDArray[np.int32]:
        found = [(i, i + 1) for i, character in enumerate(text) for _ in character.encode("utf-8", "replace")]
        return np.array(found, np.int32).reshape(-1, 2)


def tokens_of(passage: Passage, spans: NDArray[np.int32]) -> int:
    return int(((spans[:, 0] < passage.end) & (spans[:, 1] > passage.start)).sum())


PROSE = st.text(st.sampled_from("ab Z.!?,;\n\t。，你好«»\"'1 \u00a0é…"), max_size=400)
SETTINGS = st.builds(
    ChunkSettings,
    max_tokens=st.integers(MIN_BUDGET, 64),
    overlap_tokens=st.integers(0, 40),
    min_tokens=st.integers(0, 40),
)


@given(text=PROSE, settings=SETTINGS, tokenizer=st.sampled_from([Words(40), SpacedPieces(40), Bytes(40)]))
def test_passages_cover_the_text_within_the_budget(text: str, settings: ChunkSettings, tokenizer: Words) -> None:
    passages = chunk(Document("d", text), tokenizer, settings)
    spans = tokenizer.spans(text)
    covered = np.zeros(len(text), bool)
    for passage in passages:
        covered[passage.start : passage.end] = True
        assert tokens_of(passage, spans) <= min(settings.max_tokens, tokenizer.max_tokens)
    assert all(covered[i] for i, character in enumerate(text) if not character.isspace())
    assert [p.end for p in passages] == sorted({p.end for p in passages}), "every passage reaches further"
    assert [p.start for p in passages] == sorted(p.start for p in passages)


class Trained(Words):
    """A tokenizer of the library, trained on a few words."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, trainer: Any) -> None:
        super().__init__(40)
        tokenizer.train_from_iterator(["the cat sat. on a mat, über naïve isn't x=1; foo_bar 你好"] * 3, trainer)
        self._tokenizer = tokenizer

    def spans(self, text: str) -> NDArray[np.int32]:
        return np.array(self._tokenizer.encode(text).offsets, np.int32).reshape(-1, 2)


def byte_pairs() -> Trained:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    return Trained(tokenizer, tokenizers.trainers.BpeTrainer(vocab_size=300, show_progress=False))


def sentence_pieces() -> Trained:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.normalizer = tokenizers.normalizers.Replace("\n", " ")  # type: ignore[assignment]
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()  # type: ignore[assignment]
    options = {"vocab_size": 60, "show_progress": False, "unk_token": "?", "special_tokens": ["?"]}
    return Trained(tokenizer, tokenizers.trainers.UnigramTrainer(**options))


LINES = st.lists(
    st.tuples(
        st.sampled_from(["the", "cat", "sat.", "naïve", "isn't", "x=1;", "foo_bar", "你好。", ""]),
        st.sampled_from([" ", " ", "\n", "\n\n", "  ", "\n\t ", ".\n"]),
    ),
    max_size=80,
).map(lambda parts: "".join(itertools.chain.from_iterable(parts)))


@given(text=LINES, settings=SETTINGS)
@pytest.mark.parametrize("tokenizer", [Words(40), SpacedPieces(40), Bytes(40), byte_pairs(), sentence_pieces()])
def test_a_long_text_is_tokenised_in_pieces_with_the_same_result(
    tokenizer: Words, text: str, settings: ChunkSettings
) -> None:
    seen: list[int] = []

    class Watched(Words):
        def spans(self, text: str) -> NDArray[np.int32]:
            seen.append(len(text))
            return tokenizer.spans(text)

    whole = chunk(Document("d", text), tokenizer, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PIECE_CHARACTERS", 30)
        assert chunk(Document("d", text), Watched(40), settings) == whole
    assert max(seen, default=0) <= 60


@given(text=PROSE, cuts=st.lists(st.integers(0, 400), max_size=6), settings=SETTINGS)
def test_sections_label_passages_and_lose_nothing(text: str, cuts: list[int], settings: ChunkSettings) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    sections = tuple(
        Section(start, end, f"p. {i}", heading=f"h{i}") for i, (start, end) in enumerate(itertools.pairwise(edges))
    )
    passages = chunk(Document("d", text, sections=sections), Words(40), settings)
    covered = {i for passage in passages for i in range(passage.start, passage.end)}
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered
    if sections and text.strip():
        assert {passage.location for passage in passages} <= {section.location for section in sections}


def test_short_text_is_one_passage() -> None:
    assert chunk(Document("d", "One. Two."), Words(), ChunkSettings()) == [Passage(0, 9)]


@pytest.mark.parametrize("text", ["", "   \n "])
def test_a_document_without_words_still_has_a_passage(text: str) -> None:
    assert chunk(Document("d", text, title="Only a title"), Words(), ChunkSettings()) == [Passage(0, len(text))]


def test_whole_keeps_the_document_together() -> None:
    text = "word " * 100
    assert chunk(Document("d", text), Words(), ChunkSettings("whole")) == [Passage(0, len(text))]


def test_cuts_at_sentences_and_overlaps_by_them() -> None:
    sentences = [f"This is sentence number {i} of them." for i in range(9)]  # 8 tokens each
    text = " ".join(sentences)
    passages = chunk(Document("d", text), Words(24), ChunkSettings(overlap_tokens=8, min_tokens=4))
    shown = [text[p.start : p.end] for p in passages]
    assert shown[0] == " ".join(sentences[:3])
    assert shown[1] == " ".join(sentences[2:5])
    assert shown[-1].endswith(sentences[-1])


def test_rows_of_a_table_stay_whole() -> None:
    table = "\n".join(f"row {n} | price, {n} | {'good ' * (n % 3)}" for n in range(60))
    passages = chunk(Document("t", table), Words(), ChunkSettings(max_tokens=40, overlap_tokens=12, min_tokens=4))
    assert len(passages) > 5
    for passage in passages:
        assert passage.start == 0 or table[passage.start - 1] == "\n"
        assert table[passage.start : passage.end].startswith("row")


def test_no_overlap_when_none_is_asked() -> None:
    text = " ".join(f"This is sentence number {i} of them." for i in range(9))
    passages = chunk(Document("d", text), Words(24), ChunkSettings(overlap_tokens=0, min_tokens=0))
    assert all(before.end <= after.start for before, after in itertools.pairwise(passages))


def test_prefers_the_end_of_a_paragraph() -> None:
    text = "One two three four five. Six seven eight.\n\nNine ten eleven. Twelve thirteen fourteen. Fifteen sixteen."
    passages = chunk(Document("d", text), Words(16), ChunkSettings(overlap_tokens=0, min_tokens=2))
    assert text[: passages[0].end].endswith("eight.")


def test_cuts_chinese_at_its_marks() -> None:
    text = "自然人从事工商业经营。个体工商户可以起字号。债务以个人财产承担！家庭经营的以家庭财产承担？"
    passages = chunk(Document("d", text), Words(26), ChunkSettings(overlap_tokens=0, min_tokens=2))
    assert [text[p.start : p.end][-1] for p in passages] == ["。", "？"]


def test_a_sentence_longer_than_the_budget_is_cut_at_a_clause_then_a_word_then_anywhere() -> None:
    settings = ChunkSettings(overlap_tokens=0, min_tokens=2)
    clause = "a b c d e f g h i j k l, m n o p q r s t u v w x"
    assert clause[: chunk(Document("d", clause), Words(16), settings)[0].end].endswith("l,")
    words = " ".join("abcdefghijklmnopqrstuvwxyz")
    assert words[: chunk(Document("d", words), Words(16), settings)[0].end] == words[:31]
    solid = "字" * 50
    assert [p.end - p.start for p in chunk(Document("d", solid), Words(16), settings)] == [16, 16, 16, 2]


def test_the_last_passage_is_never_tiny() -> None:
    text = " ".join(f"w{i}" for i in range(34))
    passages = chunk(Document("d", text), Words(16), ChunkSettings(overlap_tokens=0, min_tokens=8))
    assert tokens_of(passages[-1], Words().spans(text)) == 8


def test_title_and_heading_take_their_share() -> None:
    text = " ".join(f"w{i}" for i in range(60))
    sections = (Section(0, len(text), "p. 1", heading="three word heading"),)
    document = Document("d", text, title="a title of five words", sections=sections)
    passages = chunk(document, Words(40), ChunkSettings(overlap_tokens=0, min_tokens=2))
    assert tokens_of(passages[0], Words().spans(text)) == 40 - 5 - 3
    assert passages[0].heading == "three word heading"


def test_a_small_section_stays_with_its_neighbour() -> None:
    text = "Preface.\n\n" + "word " * 30 + "\n\n" + "other " * 30
    second = text.index("other")
    sections = (Section(0, 10, "Preface"), Section(10, second, "One", "One"), Section(second, len(text), "Two", "Two"))
    passages = chunk(Document("d", text, sections=sections), Words(64), ChunkSettings(min_tokens=8))
    assert [(p.location, p.heading) for p in passages] == [("One", "One"), ("Two", "Two")]
    assert passages[0].start == 0


def test_a_heading_is_not_parted_from_its_text() -> None:
    text = "One two three four five six seven eight.\n\n## Next\n\nNine ten eleven twelve thirteen."
    passages = chunk(Document("d", text), Words(14), ChunkSettings(overlap_tokens=0, min_tokens=2))
    assert text[passages[1].start :].startswith("## Next")


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("Dr. Smith saw Fig. 3 there. He left.", ["Dr. Smith saw Fig. 3 there. "]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it. "]),
        ("Version 3.11 is out. Use it.", ["Version 3.11 is out. "]),
        ("It is 5 p.m. in Rome. Late!", ["It is 5 p.m. in Rome. "]),
        ("«Нет.» Он ушёл.", ["«Нет.» "]),
        ("他说：“好。”然后走了。", ["他说：“好。”"]),
        ("ما هذا؟ هذا كتاب.", ["ما هذا؟ "]),
        ("यह है। वह था।", ["यह है। "]),
    ],
)
def test_sentence_borders(text: str, ends: list[str]) -> None:
    found = find_boundaries(text)
    chosen = found.offsets[found.strengths >= BoundaryStrength.SENTENCE].tolist()
    assert [text[:offset] for offset in chosen] == ends


@pytest.mark.parametrize("text", [" " * 300_000, "." * 300_000 + "x", '." ' * 100_000, "\n " * 150_000, "a" * 300_000])
def test_no_text_takes_more_than_linear_time(text: str) -> None:
    started = time.process_time()
    find_boundaries(text)
    assert time.process_time() - started < 3
