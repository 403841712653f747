"""Answers over real HTTP: by a stub of a language model, and by sentences of the documents."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from indexer.building.pipeline import build_collection
from retrieval.errors import SettingsError
from service.cli import app
from service.client import AsyncClient, Client, NotFoundError, ServerError
from service.client.answers.answer import AnswerEndAnswer, AnswerSentenceAnswer, QuestionAnswer
from service.client.answers.context import ContextAnswer
from service.config.settings import describe, load_settings
from tests.service.conftest import DOCUMENTS, Serve, Served, eventually, write_documents
from tests.service.model_stub import END, Exchange, ModelStub, piece, running_stub

PATH = "/v1/collections/notes/answer"
KEY = "secret-key-of-the-model"
QUESTION = {"query": "does aspirin lower the risk of stroke"}
ANSWER = ("Aspirin lowers the risk", " of stroke in adults [1]. It costs 7 dol", "lars [1]. Cats hunt at night [1, 9].")
TOPICS = ("bread", "rivers", "violins", "glaciers", "chess", "bees", "bridges", "tulips", "clocks", "maps")
FILLER = [
    {"id": f"{number}", "text": f"A short note about {TOPICS[number % 10]}, written in the year {1950 + number}."}
    for number in range(40)
]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("answers")
    build_collection([write_documents(root / "notes.jsonl", [*DOCUMENTS, *FILLER])], root / "collections" / "notes")
    return root / "collections"


@pytest.fixture(scope="module")
def model() -> Iterator[ModelStub]:
    with running_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def written(notes: Path, model: ModelStub, serve: Serve) -> Iterator[Served]:
    """Serve answers of the stub, with narrow bounds."""
    with serve(notes, **settings_for(model)) as served:
        yield served


@pytest.fixture(scope="module")
def hasty(notes: Path, model: ModelStub, serve: Serve) -> Iterator[Served]:
    """Serve answers of the stub, which must be fast."""
    with serve(notes, **{**settings_for(model), "answer.seconds": 0.5}) as served:
        yield served


def settings_for(model: ModelStub) -> dict[str, Any]:
    named = {"answer.url": model.url, "answer.model": "stub", "answer.key": KEY}
    return {**named, "answer.bytes": 20_000, "answer.max_tokens": 60, "answer.concurrent": 1}


@pytest.fixture(scope="module")
def extracted(notes: Path, serve: Serve) -> Iterator[Served]:
    with serve(notes) as served:
        yield served


def events_of(served: Served, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a streamed answer."""
    answer = served.http.post(PATH, json={**QUESTION, **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def test_each_sentence_of_a_model_is_checked(written: Served, model: ModelStub) -> None:
    model.says(*ANSWER)
    (first, context), *sentences, (last, end) = events_of(written)
    assert (first, last) == ("context", "done")
    checked = [AnswerSentenceAnswer.model_validate(each, extra="forbid") for _, each in sentences]
    assert [each.text for each in checked] == [
        "Aspirin lowers the risk of stroke in adults.",
        "It costs 7 dollars.",
        "Cats hunt at night.",
    ]
    assert [(each.supported, each.dropped) for each in checked] == [(True, []), (False, [1]), (True, [1, 9])]
    cats = ContextAnswer.model_validate(context, extra="forbid").citations[checked[2].citations[0].id - 1]
    assert cats.document == checked[2].citations[0].document == "cat/1"
    for each in checked:
        for cited in each.citations:
            text = next(str(one["text"]) for one in DOCUMENTS if one["id"] == cited.document)
            assert text[cited.start : cited.end] == cited.text
    found = AnswerEndAnswer.model_validate(end, extra="forbid")
    assert (found.found, found.model, found.finish) == (True, "stub", "stop")
    assert found.answer.startswith("Aspirin lowers the risk of stroke in adults. [1] It costs 7 dollars. Cats hunt")
    sent = model.requests[-1]
    assert (sent["model"], sent["stream"], sent["max_tokens"]) == ("stub", True, 60)
    assert context["text"] in sent["messages"][1]["content"]
    assert model.headers[-1]["path"] == "/v1/chat/completions"
    assert model.headers[-1]["authorization"] == f"Bearer {KEY}"


def test_one_document_has_the_whole_answer(written: Served, model: ModelStub) -> None:
    model.says(*ANSWER)
    answer = written.http.post(PATH, json={**QUESTION, "stream": False, "k": 3}).json()
    found = QuestionAnswer.model_validate(answer, extra="forbid")
    assert len(found.sentences) == 3
    assert len(found.context.citations) == 3


def test_a_model_may_answer_in_one_document(written: Served, model: ModelStub) -> None:
    text = "<think>Which passage?</think>\nAspirin lowers the risk of stroke [1]."
    choice = {"message": {"content": text}, "finish_reason": "length"}
    model.answer = lambda exchange: exchange.whole(200, {"choices": [choice]})
    *_, (_, sentence), (_, end) = events_of(written)
    assert sentence["text"] == "Aspirin lowers the risk of stroke."
    assert end["finish"] == "length"


def test_a_model_with_another_name_for_the_limit_is_asked_again(notes: Path, model: ModelStub, serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        if "max_tokens" in model.requests[-1]:
            exchange.whole(400, {"error": {"message": "use 'max_completion_tokens' instead"}})
        else:
            exchange.stream(piece("Aspirin lowers the risk of stroke."), END)

    model.answer = answer
    with serve(notes, **{"answer.url": f"{model.url}/", "answer.model": "stub"}) as served:
        assert [name for name, _ in events_of(served)] == ["context", "sentence", "done"]
    assert "temperature" not in model.requests[-1]
    assert "authorization" not in model.headers[-1]


def test_a_question_far_from_all_documents_is_not_answered(written: Served, model: ModelStub) -> None:
    model.requests.clear()
    for body in ({"query": "how do I configure kubernetes ingress"}, {"filter": "year = 1"}):
        (_, context), (name, end) = events_of(written, **body)
        assert (name, end["found"], end["answer"]) == ("done", False, "Not in these documents.")
    assert context["citations"] == []
    assert model.requests == []
    model.says("NOT IN THE ", "PASSAGES")
    assert [name for name, _ in events_of(written)] == ["context", "done"]
    assert events_of(written)[-1][1]["answer"] == "Not in these documents."


def breaks(*parts: bytes) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.stream(*parts)


def closes(exchange: Exchange) -> None:
    exchange.begin()
    exchange.send(piece("Aspirin lowers the risk of stroke. It"))
    exchange.handler.connection.shutdown(socket.SHUT_RDWR)


def waits(exchange: Exchange) -> None:
    exchange.stub.ended.wait(1.5)


REFUSED: dict[str, tuple[Callable[[Exchange], None], int, str]] = {
    "key": (lambda exchange: exchange.whole(401, {"error": f"wrong key {KEY}"}), 502, "refused the key (answer.key)"),
    "model": (lambda exchange: exchange.whole(404, {}), 502, "is not there (answer.url, answer.model)"),
    "overload": (lambda exchange: exchange.whole(429, {}, Retry_After="7"), 502, "is overloaded"),
    "failure": (lambda exchange: exchange.whole(500, {}), 502, "it answered 500"),
    "redirect": (lambda exchange: exchange.whole(302, {}, Location="/v1/other"), 502, "the model redirects"),
    "request": (lambda exchange: exchange.whole(400, {}), 502, "refused the request"),
    "silence": (waits, 504, "took longer than this service allows (answer.seconds)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_error_of_the_model_is_a_problem(
    written: Served, hasty: Served, model: ModelStub, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    model.answer, status, says = REFUSED[kind]
    served = hasty if status == 504 else written
    with caplog.at_level(logging.INFO, "attendex"):
        for stream in (True, False):
            answer = served.http.post(PATH, json={**QUESTION, "stream": stream})
            assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
            assert answer.headers.get("retry-after") == ("7" if kind == "overload" else None)
    assert KEY not in caplog.text + answer.text
    if kind == "key":
        assert "wrong key ********" in caplog.text
    assert not any(each["path"].endswith("/other") for each in model.headers)


BROKEN: dict[str, tuple[Callable[[Exchange], None], int, str]] = {
    "no JSON": (breaks(piece("Aspirin lowers risk. "), b"data: {oops\n\n"), 502, "something else than"),
    "other JSON": (breaks(b"data: [1, 2]\n\n"), 502, "something else than"),
    "other types": (breaks(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n'), 502, "something else than"),
    "reported error": (breaks(b'data: {"error": {"message": "out of memory"}}\n\n'), 502, "stopped with an error"),
    "no end": (breaks(piece("Aspirin lowers the risk of stroke. It")), 502, "ended its answer early"),
    "early close": (closes, 502, "connection to the model failed"),
    "dripping": (lambda exchange: exchange.drip(b": wait\n\n"), 504, "took longer"),
    "one endless line": (lambda exchange: exchange.drip(b"x" * 5_000, 0.001), 502, "more than 20,000 bytes"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_error_within_an_answer_is_its_last_event(
    written: Served, hasty: Served, model: ModelStub, kind: str
) -> None:
    model.answer, status, says = BROKEN[kind]
    served = hasty if status == 504 else written
    events = events_of(served)
    assert events[0][0] == "context"
    name, problem = events[-1]
    assert (name, problem["status"], says in problem["detail"]) == ("error", status, True), problem
    answer = served.http.post(PATH, json={**QUESTION, "stream": False})
    assert answer.status_code == status


def test_an_endless_text_is_cut(written: Served, model: ModelStub) -> None:
    model.answer = lambda exchange: exchange.drip(piece("Aspirin lowers the risk of stroke [1]. "), 0.001)
    events = events_of(written)
    assert events[-1][1]["finish"] == "length"
    assert len(events[-1][1]["answer"]) <= 60 * 8 + 100
    eventually(model.left.is_set)


def test_answers_are_counted_and_end_when_the_client_leaves(written: Served, model: ModelStub) -> None:
    model.left.clear()
    model.answer = lambda exchange: exchange.drip(b": wait\n\n", 0.2)
    with httpx.stream("POST", f"{written.url}{PATH}", json=QUESTION) as answer:
        received = answer.iter_raw()
        next(received)
        refused = written.http.post(PATH, json=QUESTION)
        assert (refused.status_code, "answer.concurrent" in refused.text) == (429, True), refused.text
    eventually(model.left.is_set)
    model.says(*ANSWER)
    eventually(lambda: written.http.post(PATH, json=QUESTION).status_code == 200)


def test_the_client_reads_answers(written: Served, model: ModelStub) -> None:
    question = QUESTION["query"]
    with Client(written.url) as client:
        model.says(*ANSWER)
        whole = client.answer("notes", question, k=3)
        *_, end = parts = list(client.answer_parts("notes", question, k=3))
        assert parts[1:-1] == whole.sentences
        assert isinstance(end, AnswerEndAnswer)
        assert end.answer == whole.answer
        model.answer = closes
        with pytest.raises(ServerError, match="connection to the model failed"):
            list(client.answer_parts("notes", question))
        with pytest.raises(NotFoundError):
            list(client.answer_parts("none", question))

    async def by_asyncio() -> list[object]:
        async with AsyncClient(written.url) as client:
            assert (await client.answer("notes", question)).found
            return [part async for part in client.answer_parts("notes", question)]

    model.says(*ANSWER)
    assert len(asyncio.run(by_asyncio())) == 5


def test_without_a_model_the_best_sentences_answer(extracted: Served) -> None:
    (_, context), *sentences, (_, end) = events_of(extracted)
    first = AnswerSentenceAnswer.model_validate(sentences[0][1])
    assert first.text == "Aspirin lowers the risk of stroke in adults."
    assert (first.supported, first.citations[0].document, first.citations[0].id) == (True, "aspirin", 1)
    assert (end["found"], end["model"], end["finish"]) == (True, "", "stop")
    assert context["citations"][0]["document"] == "aspirin"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"query": "*"}, 400, "a question has words"),
        ({"query": "", "like": ["aspirin"]}, 400, "a question has words"),
        ({"query": "a", "url": "http://127.0.0.1"}, 422, "is no known name"),
        ({"query": "a", "max_tokens": 20_000}, 422, "max_tokens"),
    ],
)
def test_wrong_questions_are_refused(extracted: Served, body: dict[str, Any], status: int, says: str) -> None:
    answer = extracted.http.post(PATH, json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert extracted.http.post("/v1/collections/none/answer", json=QUESTION).status_code == 404


def test_the_command_answers(notes: Path, model: ModelStub) -> None:
    arguments = ["answer", str(notes / "notes"), QUESTION["query"]]
    printed = CliRunner().invoke(app, arguments)
    assert printed.output.startswith("Aspirin lowers the risk of stroke in adults. [1]\n")
    assert "[1] Aspirin (aspirin, 0 to 44)" in printed.output
    model.says(*ANSWER)
    by_model = ["--set", f"answer.url={model.url}", "--set", "answer.model=stub"]
    printed = CliRunner().invoke(app, [*arguments, *by_model])
    assert "It costs 7 dollars.  no passage supports this sentence" in printed.output
    answered = json.loads(CliRunner().invoke(app, [*arguments, *by_model, "--json"]).stdout)
    assert [each["supported"] for each in answered["sentences"]] == [True, False, True]
    model.answer = lambda exchange: exchange.whole(500, {})
    failed = CliRunner().invoke(app, [*arguments, *by_model])
    assert (failed.exit_code, "error: the model failed" in failed.output) == (1, True)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("answer.url", "file:///etc/passwd", "is no address"),
        ("answer.url", "https://user:word@host/v1", "give the key as answer.key"),
        ("answer.url", "http://host/v1", "give both answer.url and answer.model"),
        ("answer.key", "two words", "a key is one word"),
    ],
)
def test_wrong_settings_are_refused(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings({name: value})


def test_the_key_is_masked() -> None:
    shown = {each.name: each.value for each in describe(load_settings({"answer.key": KEY}))}
    assert shown["answer.key"] == "********"
