"""The encoder that loads while a command is still importing."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.building.encoder_loading import preload_encoder
from retrieval.errors import EncoderError


def test_a_command_that_ends_early_waits_for_the_encoder_that_is_loading(tmp_path: Path) -> None:
    """The block ends after the thread.

    An interpreter that exits under the thread would break it, and print that after the real error.
    """
    with pytest.raises(FileNotFoundError), preload_encoder(tmp_path, "", "auto", "auto") as loading:
        raise FileNotFoundError
    assert loading is not None
    assert loading.done()
    assert loading.result().dimension == 384


def test_what_is_wrong_with_the_encoder_is_told_by_the_future(tmp_path: Path) -> None:
    with preload_encoder(tmp_path, str(tmp_path), "auto", "auto") as loading:
        pass
    assert loading is not None
    with pytest.raises(EncoderError, match=r"config\.json"):
        loading.result()


def test_what_may_have_to_be_fetched_is_not_begun_ahead(tmp_path: Path) -> None:
    with preload_encoder(tmp_path, "sentence-transformers/all-mpnet-base-v2", "auto", "auto") as loading:
        assert loading is None
