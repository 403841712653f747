"""Fixtures that several packages' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("attendex", deadline=None)  # a test must not fail because the machine is busy
settings.load_profile("attendex")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of BEIR-style test collections beside the checkout; tests that need it are skipped where it is missing."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the test collections, and {folder} is not there")
    return folder
