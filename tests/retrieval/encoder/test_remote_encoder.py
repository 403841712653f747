"""Remote encoders: batches, faults, rates, keys, against a service on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoder.loading import load_encoder, load_recorded_encoder
from retrieval.encoder.remote import connection
from retrieval.encoder.remote.access import RemoteAccess, make_access
from retrieval.encoder.remote.estimated_tokens import EstimatedTokenizer
from retrieval.encoder.remote.pace import Pace
from retrieval.encoder.remote.spec import parse_remote
from retrieval.encoder.remote_encoder import RemoteEncoder, open_remote_encoder
from retrieval.errors import EncoderError, EncoderUnavailable, SettingsError
from tests.retrieval.encoder.remote_services import Service, failing, running, vector_of

TEXTS = [f"text number {number}" for number in range(50)]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("ALLOW", "KEY", "KEY_FILE"):
        monkeypatch.delenv(f"ATTENDEX_REMOTE__{name}", raising=False)
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.01)
    with running() as service:
        yield service


def opened(service: Service, options: str = "", kind: str = "openai", *, bulk: bool = True) -> RemoteEncoder:
    encoder = load_encoder(f"{kind}:{service.url}#m{options}", bulk=bulk)
    assert isinstance(encoder, RemoteEncoder)
    service.bodies.clear()
    return encoder


@pytest.mark.parametrize("kind", ["openai", "tei", "ollama"])
@pytest.mark.parametrize("options", ["", "&batch=7&parallel=3", "&batch_tokens=20"])
def test_vectors_come_in_the_order_of_the_texts(service: Service, kind: str, options: str) -> None:
    encoder = opened(service, options, kind)
    expected = np.stack([vector_of(text) for text in TEXTS])
    assert np.array_equal(encoder.encode_passages(TEXTS), expected)
    assert np.array_equal(encoder.encode_queries(TEXTS[:9]), expected[:9])
    blocks = list(encoder.encode_stream((number, TEXTS[number : number + 9]) for number in range(0, 50, 9)))
    assert [payload for payload, _ in blocks] == list(range(0, 50, 9))
    assert np.array_equal(np.concatenate([vectors for _, vectors in blocks]), expected)


def test_batches_are_bounded_by_texts_tokens_and_bytes(service: Service) -> None:
    opened(service, "&batch=7").encode_passages(TEXTS)
    assert max(len(body["input"]) for body in service.bodies) == 7
    encoder = opened(service, "&batch_tokens=20")
    encoder.encode_passages(TEXTS)
    assert max(sum(map(encoder.tokenizer.count, body["input"])) for body in service.bodies) <= 20
    encoder = opened(service, "&batch_tokens=100000000&max_tokens=100000")
    encoder.encode_passages(["é" * 60_000] * 17)
    assert max(len("".join(body["input"]).encode()) for body in service.bodies) <= 1_000_000


def test_float_and_base64_give_the_same_vectors(service: Service) -> None:
    as_float = opened(service, "&encoding=float").encode_passages(TEXTS)
    assert np.array_equal(as_float, opened(service).encode_passages(TEXTS))


def test_prompts_and_types_are_sent(service: Service) -> None:
    options = "&query_prompt=ask%3A%20&passage_prompt=read:%20&query_type=query&passage_type=passage"
    encoder = opened(service, options)
    encoder.encode_queries(["a"])
    encoder.encode_passages(["b"])
    assert [(body["input"], body["input_type"]) for body in service.bodies] == [
        (["ask: a"], "query"),
        (["read: b"], "passage"),
    ]
    opened(service, "&query_type=query", "tei").encode_queries(["a"])
    assert service.bodies[-1]["prompt_name"] == "query"
    assert (encoder.fingerprint.query_prompt, encoder.fingerprint.passage_prompt) == ("ask: ", "read: ")


def test_long_texts_are_cut_and_the_user_is_told(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    encoder = opened(service, "&max_tokens=10")
    encoder.encode_passages(["word " * 50, "short"])
    assert service.texts == ["word word word word word word word word word word", "short"]
    assert encoder.usage.cut_texts == 1
    assert "are cut" in caplog.text


def test_vectors_are_normalized(service: Service) -> None:
    service.change = lambda answer: [[3.0, 4.0] for _ in answer]
    assert np.allclose(opened(service, kind="tei").encode_passages(["a"]), [[0.6, 0.8]])


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_repeated(service: Service, status: int) -> None:
    encoder = opened(service)
    service.faults = [failing(status, {"error": {"message": "busy"}})] * 3
    assert np.array_equal(encoder.encode_passages(["a"])[0], vector_of("a"))
    assert encoder.usage.failed_requests == 3


def test_retry_after_is_obeyed(service: Service) -> None:
    encoder = opened(service)
    service.faults = [failing(429, None, Retry_After="1")]
    encoder.encode_passages(["a"])
    assert service.times[-1] - service.times[-2] >= 0.95


def test_a_query_does_not_wait_for_a_busy_service(service: Service) -> None:
    encoder = opened(service, bulk=False)
    service.always = failing(429, None, Retry_After="30")
    started = time.monotonic()
    with pytest.raises(EncoderUnavailable, match="status 429"):
        encoder.encode_queries(["a"])
    asked = len(service.times)
    with pytest.raises(EncoderUnavailable, match="the next try"):
        encoder.encode_queries(["b"])
    assert time.monotonic() - started < 20  # the service asks for 30 s
    assert len(service.times) == asked


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (failing(401, {"error": {"message": "wrong key sk-secret"}}), "key is missing or wrong"),
        (failing(400, {"error": {"message": "no such model"}}), "no such model"),
        (failing(429, {"error": {"code": "insufficient_quota", "message": "pay"}}), "insufficient_quota"),
        (failing(307, None, Location="http://127.0.0.1:9/"), "redirect"),
        (lambda: (200, {}, b"<html>"), "not JSON"),
        (lambda: (200, {}, b'{"other": 1}'), "not that of the kind openai"),
        (lambda: (200, {}, b" " * 3_000_000), "more than"),
    ],
)
def test_refusals_are_not_repeated(service: Service, fault: object, message: str) -> None:
    encoder = opened(service)
    service.faults = [fault]  # type: ignore[list-item]
    asked = len(service.times)
    with pytest.raises(EncoderError, match=message) as raised:
        encoder.encode_passages(["a"])
    assert len(service.times) == asked + 1
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "1 vectors came for 2 texts"),
        (lambda rows: [row[:-1] for row in rows], "vectors of 7 dimensions, and 8 are expected"),
        (lambda rows: [rows[0], rows[1][:-1]], "several dimensions"),
        (lambda rows: [[None, *row[1:]] for row in rows], "no finite number"),
        (lambda rows: [[float("nan"), *row[1:]] for row in rows], "not JSON"),
        (lambda rows: [[0.0] * 8 for _ in rows], "is zero"),
        (lambda rows: {"rows": rows}, "not that of the kind tei"),
    ],
)
def test_wrong_vectors_are_refused(service: Service, change: object, message: str) -> None:
    encoder = opened(service, kind="tei")
    service.change = change  # type: ignore[assignment]
    with pytest.raises(EncoderError, match=message):
        encoder.encode_passages(["a", "b"])


def test_a_wrong_index_is_refused(service: Service) -> None:
    encoder = opened(service)
    service.change = lambda answer: {**answer, "data": [{**each, "index": 0} for each in answer["data"]]}
    with pytest.raises(EncoderError, match="wrong index"):
        encoder.encode_passages(["a", "b"])


def test_a_batch_that_is_too_large_is_halved(service: Service) -> None:
    encoder = opened(service)
    service.faults = [failing(413, {"error": "batch size 4 > maximum allowed batch size 2"})]
    assert np.array_equal(encoder.encode_passages(TEXTS[:4]), np.stack([vector_of(text) for text in TEXTS[:4]]))
    assert [len(body["input"]) for body in service.bodies] == [2, 2]


def test_a_dripping_answer_ends_in_time(service: Service) -> None:
    encoder = opened(service, "&query_timeout=1", bulk=False)
    service.always = lambda: (200, {"X-Drip": "1"}, b" " * 1_000_000)
    started = time.monotonic()
    with pytest.raises(EncoderUnavailable):
        encoder.encode_queries(["a"])
    assert time.monotonic() - started < 30  # the answer takes hours


def test_requests_and_tokens_stay_below_their_rates(service: Service) -> None:
    encoder = opened(service, "&rpm=600&batch=1&parallel=8")
    encoder.encode_passages(TEXTS[:6])
    times = sorted(service.times)[-6:]
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.05
    pace = Pace(0, 600)
    assert [round(pace.reserve(10, 60) or 0) for _ in range(3)] == [0, 1, 2]
    assert pace.reserve(10, 1) is None


def test_the_key_goes_to_its_origin_alone(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# services\nhttps://api.example.com key-of-example\n{service.url} key-of-stub\n")
    access = make_access("", "", file)
    open_remote_encoder(f"openai:{service.url}#m", access)
    assert service.headers[-1]["Authorization"] == "Bearer key-of-stub"
    assert "key-of" not in repr(access)
    with pytest.raises(EncoderError, match="not https"):
        RemoteAccess(key="k").key_of(parse_remote("openai:http://api.example.com/v1#m"))
    with pytest.raises(SettingsError, match="no origin"):
        make_access("api.example.com", "", None)
    with pytest.raises(SettingsError, match="cannot be read"):
        make_access("", "", tmp_path / "missing")


def test_a_recorded_service_is_asked_only_if_it_is_allowed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = opened(service).fingerprint
    asked = len(service.times)
    monkeypatch.setenv("ATTENDEX_REMOTE__KEY", "sk-secret")
    with pytest.raises(EncoderError, match="ATTENDEX_REMOTE__ALLOW") as raised:
        load_recorded_encoder(made_by)
    assert "sk-secret" not in str(raised.value)
    assert len(service.times) == asked
    monkeypatch.setenv("ATTENDEX_REMOTE__ALLOW", f"https://api.example.com, {service.url}")
    encoder = load_recorded_encoder(made_by)
    assert len(service.times) == asked  # the dimension is recorded
    assert encoder.fingerprint == made_by
    encoder.encode_queries(["a"])
    assert service.headers[-1]["Authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:https://u:p@example.com/v1#m", "no user, password or query"),
        ("openai:https://example.com/v1?key=sk#m", "no user, password or query"),
        ("openai:https://example.com/v1", "names no model"),
        ("openai:ftp://example.com/v1#m", "not an http or https address"),
        ("openai:https://example.com/v1#m&max_token=5", "did you mean max_tokens"),
        ("openai:https://example.com/v1#m&rpm=fast", "whole number"),
        ("ollama:https://example.com#m&query_type=query", "Ollama knows no types"),
        ("openai:https://example.com/v1#m&encoding=hex", "base64 or float"),
    ],
)
def test_a_wrong_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        parse_remote(name)


def test_a_runtime_of_this_machine_is_refused() -> None:
    with pytest.raises(EncoderError, match="--runtime"):
        load_encoder("openai:https://example.com/v1#m", runtime="torch")


@given(
    st.sampled_from(["m", "org/model:tag", "ü"]),
    st.integers(1, 9_999),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_a_name_decodes_to_itself(model: str, max_tokens: int, prompt: str) -> None:
    spec = parse_remote("tei:https://example.com:8443/x/")
    assert spec.name == "tei:https://example.com:8443/x"
    made = type(spec)("openai", "https://e.com/v1", model, max_tokens=max_tokens, query_prompt=prompt)
    assert parse_remote(made.name) == made


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(1, 20))
def test_a_cut_text_has_at_most_its_tokens(text: str, limit: int) -> None:
    tokenizer = EstimatedTokenizer(limit, "", "")
    cut = tokenizer.cut(text)
    assert text.startswith(cut)
    assert len(tokenizer.spans(cut)) <= limit
    spans = tokenizer.spans(text)
    covered = "".join(text[start:end] for start, end in spans)
    assert covered == "".join(character for character in text if not character.isspace()) or any(
        character.isspace() for character in covered
    )
