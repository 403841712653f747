"""Find encoders by name, without a network."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from retrieval.encoder import loading
from retrieval.encoder.checkpoint import hub
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use an empty hub cache and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["someone/some-model", "some-model"])
def test_a_hub_name_without_a_network_says_what_to_do(name: str) -> None:
    with pytest.raises(EncoderError, match=f"{name}.*could not be fetched.*path of an encoder folder"):
        load_encoder(name)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "a/b/c", Path("missing")])
def test_a_missing_folder_is_not_searched_on_the_hub(name: str | Path) -> None:
    with pytest.raises(EncoderError, match="no such encoder folder"):
        load_encoder(name)


@pytest.mark.usefixtures("offline")
def test_a_name_that_cannot_be_one() -> None:
    with pytest.raises(EncoderError, match="neither an encoder folder nor a name"):
        load_encoder("bad name!/with spaces")


@pytest.mark.parametrize("partial", [None, "model.safetensors.index.json", "model-00001-of-00002.safetensors"])
def test_half_a_download_is_fetched_again(
    default_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partial: str | None
) -> None:
    folder = shutil.copytree(default_folder, tmp_path / "model")
    fetched = []

    def hub_client(name: str, *, local_files_only: bool = False, **_: object) -> str:
        fetched.append((name, local_files_only))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub_client)
    assert hub.locate("someone/model") == folder
    assert fetched == [("someone/model", True)]
    (folder / "model.safetensors").unlink()
    if partial:
        (folder / partial).write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    assert hub.locate("someone/model") == folder
    assert fetched[1:] == [("someone/model", True), ("someone/model", False)]


def test_both_names_of_the_default_are_the_package() -> None:
    assert hub.locate("all-MiniLM-L6-v2") == hub.locate("sentence-transformers/all-MiniLM-L6-v2")


def test_altered_default_weights_are_refused(
    default_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = shutil.copytree(default_folder, tmp_path / "model")
    with (altered / "model.safetensors").open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"\x01")
    monkeypatch.setattr(loading, "locate", lambda _: altered)
    with pytest.raises(EncoderError, match="SHA-256"):
        load_encoder()


def test_loading_imports_nothing_heavy_by_itself() -> None:
    import subprocess
    import sys

    check = (
        "import sys, retrieval.encoder.loading; print(sorted({'torch', 'transformers', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_hub_that_cannot_be_connected_is_reported_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    with socket.socket() as free:  # bound and not listening: a connection is refused
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(EncoderError, match=r"the hub \(http://127\.0\.0\.1:\d+\) cannot be reached"):
            hub.fetch_revision("someone/model", "0" * 40)


def test_a_revision_in_the_cache_needs_no_network(
    default_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    snapshot = tmp_path / "models--someone--model" / "snapshots" / ("1" * 40)
    shutil.copytree(default_folder, snapshot)
    assert hub.fetch_revision("someone/model", "1" * 40) == snapshot
