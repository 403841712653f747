"""Questions as people type them: quotes, dashes, signs and flags are text unless operators are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, SearchRequest, Syntax

TEXTS = {
    "docker": "Start a container with docker run -it when you want a shell in it; -d runs it in the background.",
    "rm": "rm -rf removes a folder with all its files and asks nothing; rm -i asks before each file.",
    "tar": "To unpack an archive give tar -xf and its name; -z is for gzip, -c makes an archive.",
    "git": "git commit --amend changes the last commit; git push --force-with-lease overwrites the remote branch.",
    "grep": "grep -v shows the lines that do not match; grep -r looks into folders, --include names the files.",
    "ssh": "ssh -L 8080:localhost:80 forwards a local port through a tunnel to the server.",
    "pipe": 'A copper pipe of 6" by 9" is kept in the shed; it fits the old pump.',
    "screen": 'The monitor has a 27" screen with 2560 x 1440 pixels and a stand of 5\'11".',
    "drowned": "The word drowned in the poem stands for the sailor who never came home.",
    "hamlet": 'Hamlet asks "to be, or not to be" in the third act of the tragedy.',
    "wellknown": "A well-known side effect of the drug is dizziness in long-term use.",
    "state": "State-of-the-art methods for image recognition use convolutional networks.",
    "python": "In Python, -1 is the index of the last item of a list, and a[::-1] reverses it.",
    "minus": "Water freezes at -40 degrees only when pure droplets are cooled slowly; ice melts at 0.",
    "email": 'Write the address as "Jane Doe" <jane@example.org> in the header of the mail.',
    "csv": "Fields with commas stand in double quotes in a CSV file, and a quote is doubled.",
    "cpp": "In C++ the operator -> follows a pointer to a member; a - b subtracts.",
    "html": 'An HTML attribute is written as name="value", and data-id is a custom attribute.',
    "css": "The CSS property z-index orders boxes, and margin: -1px pulls a box to the left.",
    "range": "The museum is open 9-17 from Tuesday to Sunday; tickets cost 10-15 euros.",
    "ibuprofen": "Ibuprofen, a non-steroidal anti-inflammatory drug, lowers fever and pain.",
    "covid": "COVID-19 vaccines with mRNA were approved at the end of 2020.",
    "beatles": 'The Beatles recorded "Let It Be" and "Abbey Road" in London studios.',
    "bread": "Knead the dough for ten minutes and let it rest in a bowl.",
    "wing": "The lift of a wing grows with the angle of attack until the flow separates.",
}
SIBLINGS = [
    ("what does docker run -it do", "docker"),
    ("docker -d background container", "docker"),
    ("how do I use rm -rf safely", "rm"),
    ("rm -i asks before removing", "rm"),
    ("tar -xf", "tar"),
    ("tar -z -c archive gzip", "tar"),
    ("unpack archive -xf", "tar"),
    ("git commit --amend", "git"),
    ("git push --force-with-lease", "git"),
    ("-force-with-lease overwrites remote", "git"),
    ("grep -v lines", "grep"),
    ("grep -r --include", "grep"),
    ("ssh -L tunnel", "ssh"),
    ("-L 8080:localhost:80", "ssh"),
    ('copper pipe 6" by 9"', "pipe"),
    ('pipe 6" x 9" shed', "pipe"),
    ('27" monitor', "screen"),
    ('27" x 5\'11" stand monitor', "screen"),
    ('what does "drowned" mean in the poem', "drowned"),
    ('"drowned" sailor', "drowned"),
    ('who says "to be or not to be, that is the question" in Hamlet', "hamlet"),
    ("“to be or not to be” hamlet", "hamlet"),
    ('a "well known" effect of long-term drug use', "wellknown"),
    ("side-effect -dizziness", "wellknown"),
    ('"state of the art" image-recognition methods', "state"),
    ("state-of-the-art - image recognition", "state"),
    ("python list index -1", "python"),
    ("reverse a list with [::-1] python", "python"),
    ("does water freeze at -40 degrees", "minus"),
    ('header "Doe, Jane" <jane@example.org>', "email"),
    ('quote inside a CSV field: ""', "csv"),
    ("\"a quote is 'doubled'\" in CSV", "csv"),
    ("C++ operator -> pointer", "cpp"),
    ("C++ a -b subtract", "cpp"),
    ('HTML attribute data-id="value"', "html"),
    ("css margin: -1px z-index", "css"),
    ("museum open 9-17 -tickets", "range"),
    ("anti-inflammatory -non-steroidal ibuprofen", "ibuprofen"),
    ('is "COVID 19" vaccine -mRNA', "covid"),
    ('beatles - "Let it be" or "Abbey Rd"', "beatles"),
]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """A document for each question, and some others."""
    encoder = load_encoder(DEFAULT)
    path = tmp_path_factory.mktemp("typed") / "typed"
    create_collection(path, encoder)
    documents = tuple(Document(name, text) for name, text in TEXTS.items())
    apply_changes(path, encoder, [CollectionChange(upserts=documents)])
    with open_searcher(path, encoder=encoder) as searcher:
        yield searcher


@pytest.mark.parametrize("mode", [Mode.HYBRID, Mode.LEXICAL])
@pytest.mark.parametrize(("query", "best"), SIBLINGS)
def test_questions_as_people_type_them_are_answered(typed: Searcher, query: str, best: str, mode: Mode) -> None:
    assert typed.search(SearchRequest(query, mode=mode)).hits[0].id == best


def test_operators_filter_only_when_they_are_asked_for(typed: Searcher) -> None:
    request = SearchRequest('"rm -rf" -folder', mode=Mode.LEXICAL)
    assert typed.search(request).hits[0].id == "rm"
    obeyed = SearchRequest('"side effect" -dizziness', syntax=Syntax.OPERATORS)
    assert typed.search(obeyed).hits == ()
    assert [hit.id for hit in typed.search(SearchRequest('"side effect"', syntax=Syntax.OPERATORS)).hits] == [
        "wellknown"
    ]


def test_stop_words_are_not_marked(typed: Searcher) -> None:
    (hit,) = typed.search(SearchRequest("what is the index of the last item", k=1, highlight=True)).hits
    (passage,) = hit.passages
    assert [passage.text[start:end] for start, end in passage.highlights] == ["index", "last", "item", "list"][:3]


SIGNS = st.sampled_from("\"--“”„«»–—'(+_.# \n")
WORDS = st.sampled_from(
    ["docker", "run", "it", "the", "don't", "C++", "be", "known", "quotes", "6", "个体", "户", "é", "İ"]
)
SEPARATORS = str.maketrans(dict.fromkeys('"-“”„«»–—(', " "))  # that the analyzer treats as spaces


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(SIGNS | WORDS, max_size=12).map("".join))
@example('"docker run" -it')
@example('-"well known" "6" x')
def test_quotes_and_dashes_are_spaces_to_bm25(typed: Searcher, text: str) -> None:
    spaced = text.translate(SEPARATORS)
    if not spaced.strip():
        return
    found, expected = (
        [(hit.id, hit.score) for hit in typed.search(SearchRequest(each, mode=Mode.LEXICAL, k=30)).hits]
        for each in (text, spaced)
    )
    assert found == expected
