"""The folder for files that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $ATTENDEX_CACHE, else `attendex` in the user's folder of caches."""
    if chosen := os.environ.get("ATTENDEX_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attendex"
