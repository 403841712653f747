"""Keys, roles, scopes and rates, for callers and for the operator."""

from __future__ import annotations

import json
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from retrieval.errors import SettingsError
from service.cli import app
from service.commands.serve import check_exposure
from service.config.api_keys import KeyRing, add_key, read_keys, remove_key, rotate_key
from service.config.settings import load_settings
from service.http import rate_limits
from service.http.addresses import network_of, plain_address
from service.http.rate_limits import SECONDS, Rate
from service.observability.logs import LOGGER
from tests.service.conftest import Serve, Served, eventually
from tests.service.http.test_early_refusal import fill
from tests.service.test_routes import SEARCH, problem


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


class Keys:
    """A key file with one key of each kind."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.read = add_key(file, "reader", "read", [])
        self.write = add_key(file, "writer", "write", [])
        self.admin = add_key(file, "boss", "admin", [])
        self.other = add_key(file, "stranger", "admin", ["other"])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def guarded(collections: Path, serve: Serve, keys: Keys) -> Any:
    with serve(collections, keys=keys.file, api_key="from-the-settings", **{"rate.failures": ""}) as served:
        yield served


DOCUMENTS = "/v1/collections/small/documents"


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status"),
    [
        ("read", "POST", SEARCH, {"query": "cats"}, 200),
        ("read", "POST", "/v1/embeddings", {"input": "x", "model": "default"}, 200),
        ("read", "POST", f"{DOCUMENTS}/delete", {"ids": ["nobody"]}, 403),
        ("read", "POST", DOCUMENTS, {"documents": [{"id": "x", "text": "y"}]}, 403),
        ("read", "PUT", "/v1/collections/new", {}, 403),
        ("read", "DELETE", "/v1/collections/small", None, 403),
        ("write", "POST", f"{DOCUMENTS}/delete", {"ids": ["nobody"]}, 202),
        ("write", "PUT", "/v1/collections/new", {}, 403),
        ("write", "DELETE", "/v1/collections/small", None, 403),
        ("admin", "DELETE", "/v1/collections/none", None, 404),
        ("other", "POST", SEARCH, {"query": "cats"}, 404),
        ("other", "GET", "/v1/collections/small", None, 404),
        ("other", "DELETE", "/v1/collections/small", None, 404),
    ],
)
def test_each_role_may_do_its_part(
    guarded: Served, keys: Keys, who: str, method: str, path: str, body: Any, status: int
) -> None:
    response = guarded.http.request(method, path, json=body, headers=bearer(getattr(keys, who)))
    assert response.status_code == status, response.text


def test_a_scoped_key_sees_its_collections_only(guarded: Served, keys: Keys) -> None:
    seen = guarded.http.get("/v1/collections", headers=bearer(keys.other)).json()
    assert seen == {"collections": []}


@pytest.mark.parametrize("path", ["/v1/collections", "/v1/collections/small", "/no/such/path", "/v1/models/x"])
@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), {"authorization": "Basic x"}, {"x-api-key": "wrong"}], ids=str
)
def test_strangers_learn_nothing(guarded: Served, path: str, headers: dict[str, str]) -> None:
    response = guarded.http.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_each_dialect_has_its_own_401(guarded: Served) -> None:
    problem(guarded.http.post(SEARCH, json={"query": "x"}), 401, "unauthenticated")
    assert guarded.http.post("/v1/embeddings", json={}).json()["error"]["type"] == "authentication_error"
    assert guarded.http.post("/embed", json={}).content == b""
    assert "message" in guarded.http.post("/v2/rerank", json={}).json()


def test_probes_metrics_and_openapi_are_open(guarded: Served) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/health", "/metrics", "/openapi.json"):
        assert guarded.http.get(path).status_code == 200


def test_keys_of_the_settings_and_of_the_other_header_work(guarded: Served) -> None:
    assert guarded.http.get("/v1/collections", headers={"x-api-key": "from-the-settings"}).status_code == 200


def test_keys_change_without_a_restart(
    collections: Path, serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    old = add_key(file, "one", "read", [])
    with serve(collections, keys=file) as served:
        new = rotate_key(file, "one")
        eventually(lambda: served.http.get("/v1/collections", headers=bearer(new)).status_code == 200)
        assert served.http.get("/v1/collections", headers=bearer(old)).status_code == 401
        with caplog.at_level(logging.ERROR, LOGGER):
            file.write_text("{ not json")
            eventually(lambda: "not a key file" in caplog.text)
        assert served.http.get("/v1/collections", headers=bearer(new)).status_code == 200


def test_a_damaged_file_leaves_the_keys_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = add_key(file, "one", "read", [])
    ring = KeyRing(file, None)
    file.write_text("{ not json")
    with pytest.raises(SettingsError, match="not a key file"):
        ring.reload()
    assert ring.caller(key) is not None


def test_rates_are_limited_by_key(collections: Path, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first, second = add_key(file, "first", "read", []), add_key(file, "second", "read", [])
    with serve(collections, keys=file, **{"rate.per_key": "3/minute", "rate.failures": "2/minute"}) as served:
        statuses = [served.http.get("/v1/models", headers=bearer(first)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = served.http.get("/v1/collections", headers=bearer(first))
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        problem(refused, 429, "rate_limited")
        assert served.http.get("/v1/models", headers=bearer(second)).status_code == 200


def test_wrong_keys_slow_their_address_down(collections: Path, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = add_key(file, "one", "read", [])
    with serve(collections, keys=file, **{"rate.failures": "3/hour"}) as served:
        for _ in range(10):  # no key is no guess
            assert served.http.get("/v1/models").status_code == 401
        wrong = [served.http.get("/v1/models", headers=bearer(f"wrong {n}")).status_code for n in range(100)]
        assert wrong == [401] * 3 + [429] * 97
        refused = served.http.get("/v1/collections", headers=bearer(key))
        problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 1_200
        assert served.http.post("/embed", json={"inputs": "x"}, headers={"x-api-key": key}).status_code == 429
        assert served.http.get("/v1/models").status_code == 401
        assert served.http.get("/livez").status_code == 200


def test_a_full_queue_tells_a_slowed_address_nothing_about_its_keys(
    collections: Path, serve: Serve, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys.json", "one", "read", [])
    with serve(collections, keys=tmp_path / "keys.json", **{"rate.failures": "1/hour"}) as served:
        fill(served)
        headers = {"x-request-id": "same"}
        served.http.post(SEARCH, json={"query": "x"}, headers=bearer("wrong"))
        right, wrong = (
            served.http.post(SEARCH, json={"query": "x"}, headers=bearer(each) | headers) for each in (key, "wrong")
        )
        assert (right.status_code, right.json()["code"]) == (wrong.status_code, wrong.json()["code"])


class TestRate:
    @given(st.integers(1, 50), st.sampled_from(["second", "minute", "hour", "day"]))
    def test_a_caller_gets_its_number_at_once_and_has_to_wait_then(self, number: int, unit: str) -> None:
        rate = Rate("rate", f"{number}/{unit}")
        for _ in range(number):
            rate.check("caller")
            rate.count("caller")
        if number < SECONDS[unit]:  # else an interval may pass meanwhile
            assert 0 < rate.wait_s("caller") <= math.ceil(SECONDS[unit] / number)
        assert rate.wait_s("another") == 0

    def test_the_callers_that_are_kept_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limits, "MAX_CALLERS", 10)
        rate = Rate("rate", "1/hour")
        for number in range(100):
            rate.count(str(number))
        assert [bool(rate.wait_s(str(number))) for number in range(100)] == [False] * 90 + [True] * 10

    @pytest.mark.parametrize("text", ["often", "0/second", "-1/second", "1", "1/fortnight", "1/second/second"])
    def test_other_texts_are_refused(self, text: str) -> None:
        with pytest.raises(SettingsError, match="is not a rate"):
            Rate("rate.per_key", text)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "unknown"),
        ("", "unknown"),
    ],
)
def test_limits_count_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_an_ipv4_address_on_an_ipv6_socket_is_an_ipv4_address() -> None:
    assert plain_address("::ffff:203.0.113.7") == "203.0.113.7"
    assert plain_address("2001:db8::1") == "2001:db8::1"
    assert plain_address("no address") == "no address"


def test_only_digests_are_kept(keys: Keys) -> None:
    text = keys.file.read_text()
    assert not any(key in text or key.removeprefix("ax_") in text for key in (keys.read, keys.write, keys.admin))
    assert keys.file.stat().st_mode & 0o077 == 0
    ring = KeyRing(keys.file, None)
    assert ring.caller(keys.write) is not None
    assert ring.caller(keys.write + "x") is None
    assert ring.caller("") is None
    assert ring.caller("\ud800") is None


def test_the_keys_command(tmp_path: Path) -> None:
    file, runner = tmp_path / "keys.json", CliRunner()
    added = runner.invoke(app, ["keys", "add", str(file), "web", "--role", "write", "--collection", "a"])
    secret = added.stdout.strip().splitlines()[0]
    assert added.exit_code == 0
    caller = KeyRing(file, None).caller(secret)
    assert caller is not None
    assert (caller.name, caller.role.name, caller.collections) == ("web", "WRITE", ("a",))
    listed = json.loads(runner.invoke(app, ["keys", "list", str(file), "--json"]).stdout)
    assert [each["name"] for each in listed] == ["web"]
    assert "digest" not in listed[0]
    assert runner.invoke(app, ["keys", "add", str(file), "web"]).exit_code == 1
    assert runner.invoke(app, ["keys", "add", str(file), "x", "--role", "king"]).exit_code == 1
    assert runner.invoke(app, ["keys", "rotate", str(file), "web"]).stdout.strip() != secret
    assert runner.invoke(app, ["keys", "remove", str(file), "nobody"]).exit_code == 1
    assert runner.invoke(app, ["keys", "remove", str(file), "web"]).exit_code == 0
    assert read_keys(file) == ()


def test_an_unknown_name_and_a_broken_file_are_explained(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(SettingsError, match="cannot be read"):
        KeyRing(file, None)
    file.write_text('{"keys": [{"name": "x", "role": "king", "digest": ""}]}')
    with pytest.raises(SettingsError, match="not a key file"):
        read_keys(file)
    with pytest.raises(SettingsError, match="not a key file"):
        remove_key(file, "x")


@pytest.mark.parametrize(
    ("flags", "fine"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "insecure": True}, True),
        ({"host": "0.0.0.0", "api_key": "x" * 16}, True),
        ({"host": "example.org"}, False),
    ],
    ids=str,
)
def test_other_machines_need_a_key(flags: dict[str, Any], fine: bool) -> None:
    settings = load_settings(flags)
    if fine:
        check_exposure(settings)
    else:
        with pytest.raises(SettingsError, match="--insecure"):
            check_exposure(settings)


def test_a_right_key_counts_beside_credentials_for_a_proxy(guarded: Served, keys: Keys) -> None:
    headers = {"authorization": "Basic cHJveHk6c2VjcmV0", "x-api-key": keys.read}
    assert guarded.http.get("/v1/collections", headers=headers).status_code == 200


def test_commands_that_change_keys_at_a_time_take_turns(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: add_key(file, f"key {number}", "read", []), range(8)))
    assert {key.name for key in read_keys(file)} == {f"key {number}" for number in range(8)}
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", [{"digest": "ä" * 64}, {"digest": 5}, {"role": 1}, {"collections": [1]}], ids=str)
def test_a_damaged_key_is_found_when_the_file_is_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "keys.json"
    add_key(file, "one", "read", [])
    content = json.loads(file.read_text())
    content["keys"][0].update(wrong)
    file.write_text(json.dumps(content))
    with pytest.raises(SettingsError, match="not a key file"):
        read_keys(file)


def test_what_is_explained_is_bounded_like_what_is_searched(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.query_characters": 50, "limits.filter_characters": 10}) as served:
        long = {"query": "word " * 20, "id": "heat"}
        problem(served.http.post("/v1/collections/small/explain", json=long), 400, "bad_query")
        problem(served.http.post("/v1/collections/small/attention", json=long), 400, "bad_query")
        found = served.http.get(DOCUMENTS, params={"filter": "year > 1900 AND year < 3000"})
        problem(found, 400, "bad_query")


def test_who_may_read_the_file_and_where_it_lies_stays_so(tmp_path: Path) -> None:
    kept, file = tmp_path / "kept.json", tmp_path / "keys.json"
    add_key(kept, "one", "read", [])
    kept.chmod(0o640)
    file.symlink_to(kept)
    rotate_key(file, "one")
    assert file.is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", " ", "two\nlines"])
def test_a_key_has_a_name_that_can_be_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="no name for a key"):
        add_key(tmp_path / "keys.json", name, "read", [])
    assert list(tmp_path.iterdir()) == []
