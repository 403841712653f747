"""No command opens a connection or leaves a file outside its directories, under a fresh home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from retrieval.encoder.checkpoint.hub import locate
from tests.service.conftest import DOCUMENTS, eventually, write_documents

# Python imports `sitecustomize` at each start, also in the processes that a command starts.
WATCH = """
import os, sys
def watch(event, arguments):
    network = event == "socket.connect" and isinstance(arguments[1], tuple)
    if network or event in ("socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{event} {arguments[-4:]}\\n")
sys.addaudithook(watch)
"""
COMMANDS = """
import json, sys
from typer.testing import CliRunner
from service.cli import app
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(app, arguments, input="q")
    print(result.exit_code, arguments, file=sys.stderr)
    if result.exit_code:
        raise SystemExit(result.output) from result.exception
"""
CI = (
    "CI",
    "TF_BUILD",
    "JENKINS_URL",
    "GITHUB_ACTIONS",
    "DO_NOT_TRACK",
)  # dependencies send nothing where these are set


@dataclass(frozen=True)
class Home:
    """A fresh home, with the environment of a user and a watch over connections."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def connections(self) -> Path:
        return self.folder / "connections"

    def environment(self) -> dict[str, str]:
        hidden = (
            *CI,
            "ATTENDEX_CACHE",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "MPLCONFIGDIR",
            "HF_HOME",
            "TORCHINDUCTOR_CACHE_DIR",
        )
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        path = os.pathsep.join([str(self.folder / "watch"), *sys.path])
        places = {"HOME": self.folder / "home", "TMPDIR": self.folder / "temporary", "CONNECTIONS": self.connections}
        return kept | {name: str(place) for name, place in places.items()} | {"PYTHONPATH": path}

    def run(self, commands: Sequence[Sequence[object]]) -> None:
        """Run commands in one process."""
        given = json.dumps([[str(word) for word in command] for command in commands])
        ended = subprocess.run(
            [sys.executable, "-c", COMMANDS],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment(),
            cwd=self.work,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr

    def check(self) -> None:
        """Check that no host was contacted, and that only the encoder's cache is new."""
        assert not self.connections.exists(), self.connections.read_text()
        home = self.folder / "home"
        assert [
            path for path in home.rglob("*") if path.is_file() and home / ".cache/attendex" not in path.parents
        ] == []
        assert list((self.folder / "temporary").iterdir()) == []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return one home for all tests: the first converts the encoder, the others find it in the cache."""
    made = Home(tmp_path_factory.mktemp("fresh"))
    for name in ("home", "temporary", "watch", "work"):
        (made.folder / name).mkdir()
    (made.folder / "watch" / "sitecustomize.py").write_text(WATCH)
    write_documents(made.work / "documents.jsonl", DOCUMENTS)
    (made.work / "folder").mkdir()
    (made.work / "folder" / "page.html").write_text("<h1>Kettles</h1><p>They boil water.</p>")
    queries = [(f"q{number}", DOCUMENTS[number % 5]) for number in range(10)]  # tuning needs ten
    write_documents(made.work / "queries.jsonl", [{"_id": name, "text": found["text"]} for name, found in queries])
    judged = [f"{name} 0 {found['id']} 1\n" for name, found in queries]
    (made.work / "qrels.txt").write_text("".join(judged))
    _make_other_encoder(made.work / "other")
    (made.work / "a.run").write_text("q1 Q0 wing 1 0.5 a\n")
    return made


def _make_other_encoder(folder: Path) -> None:
    """Make the default encoder with another limit of tokens."""
    shutil.copytree(
        locate("all-MiniLM-L6-v2"), folder, copy_function=lambda source, link: Path(link).symlink_to(source)
    )
    path = folder / "sentence_bert_config.json"
    body = {**json.loads(path.read_text()), "max_seq_length": 128}
    path.unlink()
    path.write_text(json.dumps(body))


def test_serve(home: Home, collections: Path) -> None:
    shutil.copytree(collections / "small", home.work / "served")
    command = [sys.executable, "-m", "service", "serve", "served", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=home.environment(), cwd=home.work) as process:
        assert process.stderr is not None
        try:
            url = process.stderr.readline().split()[-1]
            eventually(lambda: _finds(url), 120)  # a fresh HOME has no converted encoder
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    home.check()


def _finds(url: str) -> bool:
    try:
        answer = httpx.post(f"{url}/v1/collections/served/search", json={"query": "cats"}, timeout=60)
    except httpx.ConnectError:  # the service prints its address before it listens
        return False
    return answer.status_code == 200


TASK = ("--queries", "queries.jsonl", "--qrels", "qrels.txt")


def test_commands(home: Home) -> None:
    home.run(
        [
            ("index", "documents.jsonl", "--into", "papers"),
            ("index", "folder", "--into", "pages", "--runtime", "torch"),
            ("add", "papers", "folder"),
            ("search", "papers", "wing"),
            ("explain", "papers", "wing", "wing"),
            ("chunk", "folder"),
            ("info", "papers"),
            ("log", "papers"),
            ("evaluate", "papers", *TASK),
            ("evaluate", "a.run", *TASK),
            ("compare", "papers:dense", "papers:lexical", *TASK),
            ("report", "papers", *TASK, "--html", "report.html"),
            ("pool", "papers", "--queries", "queries.jsonl", "--out", "pool.tsv"),
            ("judge", "pool.tsv", "--out", "judged.txt"),
            ("tune", "papers", *TASK),
            ("delete", "papers", "wing"),
            ("rollback", "papers"),
            ("merge", "papers"),
            ("verify", "papers"),
            ("snapshot", "papers", "papers.tar.zst"),
            ("restore", "papers.tar.zst", "copy"),
            ("reembed", "copy", "--encoder", "other"),
            ("settings",),
            ("keys", "add", "keys.json", "reader"),
            ("keys", "list", "keys.json"),
        ]
    )
    home.check()


@pytest.mark.slow  # nncf takes long to import
def test_quantize(home: Home) -> None:
    pytest.importorskip("nncf")
    home.run([("quantize", "all-MiniLM-L6-v2", "--calibrate", "documents.jsonl", "--out", "int8")])
    home.check()
