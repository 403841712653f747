"""Re-embedding: beside the collection, atomic, resumable, reversible."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from indexer.maintenance import reembed as module
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.reembed import reembed
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from tests.indexer.conftest import hand_made_settings, vector_of
from tests.indexer.faults import Died, Faulty, clean, copied, dying_at, grown, state

OTHER_DIMENSION = 6


class Other:
    """Another encoder with fewer dimensions; it stops at passage number `limit`."""

    dimension = OTHER_DIMENSION
    fingerprint = replace(hand_made_settings().encoder, name="other", weights_sha256="o", dimension=OTHER_DIMENSION)
    runtime = SimpleNamespace(name="hand", precision="f32")
    tokenizer = None

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit
        self.seen: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> Any:
        if len(self.seen) + len(texts) > self.limit:
            raise KeyboardInterrupt
        self.seen += texts
        vectors = np.concatenate([vector_of(f"other {text}")[:, :OTHER_DIMENSION] for text in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)


def check_switched(bench: Any) -> None:
    """Check that the other encoder's vector of a live passage finds it."""
    assert verify(bench.path).ok, verify(bench.path)
    with open_index_reader(bench.path) as reader:
        assert reader.manifest.encoder == Other.fingerprint
        assert reader.manifest.unreadable_share == 0
        documents = reader.documents(range(len(reader.live_documents)))
        for row in np.flatnonzero(reader.live).tolist():
            document, passage = documents[reader.document_of[row]], reader.passages([row])[0]
            vector = Other().encode_passages([f"{document.title} {document.text[passage.start : passage.end]}"])
            scores = reader.vectors.score(vector[0], np.array([row]))
            assert scores[0] == pytest.approx(1, abs=2e-3)


def test_the_vectors_are_made_again_and_nothing_else_changes(bench: Any) -> None:
    grown(bench)
    before = state(bench.path)
    with open_index_reader(bench.path) as reader:
        words = reader.manifest.lexical
        rows = reader.rows
    encoder = Other()
    report = reembed(bench.path, encoder)  # type: ignore[arg-type]
    assert (report.switched, report.generation, report.encoded) == (True, 4, rows)
    assert state(bench.path) == before
    assert read_manifest(bench.path).lexical == words
    check_switched(bench)
    assert clean(bench.path)
    with pytest.raises(InputError, match="already has the vectors of this encoder"):
        reembed(bench.path, encoder)  # type: ignore[arg-type]


def test_a_rejected_encoder_is_not_switched_to_and_its_work_not_lost(bench: Any) -> None:
    grown(bench)
    report = reembed(bench.path, Other(), accept=lambda reader: reader.manifest.documents == 0)  # type: ignore[arg-type]
    assert (report.switched, report.generation) == (False, 3)
    assert verify(bench.path).orphans == ()
    again = Other()
    assert reembed(bench.path, again).switched  # type: ignore[arg-type]
    assert again.seen == list(hand_made_settings().canaries.texts)
    check_switched(bench)


def test_merging_gives_up_what_a_rejected_encoder_made_but_not_what_is_being_made(bench: Any) -> None:
    grown(bench)

    def reject(_: Any) -> bool:
        merge_collection(bench.path, fully=True)
        assert list(bench.path.glob("segments/reembed-*")) != []
        return False

    assert not reembed(bench.path, Other(), accept=reject).switched  # type: ignore[arg-type]
    merge_collection(bench.path, fully=True)
    assert list(bench.path.glob("**/reembed-*")) == []
    assert clean(bench.path)


def test_an_interrupted_run_goes_on_where_it_was(bench: Any) -> None:
    grown(bench)
    with pytest.raises(KeyboardInterrupt):
        reembed(bench.path, Other(limit=8))  # type: ignore[arg-type]
    bench.add(bench.document("meanwhile"))
    assert verify(bench.path).orphans == ()
    again = Other()
    report = reembed(bench.path, again)  # type: ignore[arg-type]
    with open_index_reader(bench.path) as reader:
        assert 0 < report.encoded < int(reader.live.sum())
        assert reader.find("meanwhile") is not None
    check_switched(bench)
    assert clean(bench.path)


def test_what_is_written_meanwhile_is_not_lost(bench: Any) -> None:
    grown(bench)

    def accept(_: Any) -> bool:
        with bench.writer() as writer:
            writer.delete(["d0"])
            bench.put(writer, [bench.document("meanwhile")])
            writer.update_metadata([replace(writer.stored(["d1"])["d1"], metadata={"year": 7})])
            writer.commit()
        return True

    reembed(bench.path, Other(), accept=accept)  # type: ignore[arg-type]
    found = state(bench.path) or {}
    assert "meanwhile" in found
    assert "d0" not in found
    assert found["d1"] == "text of d17"
    check_switched(bench)


def test_a_rollback_brings_the_old_encoder_back_and_the_new_one_again(bench: Any) -> None:
    grown(bench)
    reembed(bench.path, Other())  # type: ignore[arg-type]
    roll_back(bench.path)
    assert read_manifest(bench.path).encoder == bench.settings.encoder
    assert verify(bench.path).ok
    bench.add(bench.document("later"))
    report = reembed(bench.path, Other())  # type: ignore[arg-type]
    assert report.encoded == 1
    check_switched(bench)
    assert clean(bench.path)


def test_documents_that_a_rollback_brings_back_have_vectors(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(8)))
    with bench.writer() as writer:
        writer.delete(["d1"])
        writer.commit()
    reembed(bench.path, Other())  # type: ignore[arg-type]
    roll_back(bench.path, 1)
    reembed(bench.path, Other())  # type: ignore[arg-type]
    assert "d1" in (state(bench.path) or {})
    check_switched(bench)


def test_what_is_made_stays_beside_an_older_generation_of_the_same_encoder(bench: Any) -> None:
    grown(bench)
    reembed(bench.path, Other())  # type: ignore[arg-type]
    roll_back(bench.path, 3)
    bench.add(bench.document("later"))

    def accept(_: Any) -> bool:
        with bench.writer() as writer:  # collects garbage
            writer.delete(["nobody"])
        return True

    assert reembed(bench.path, Other(), accept=accept).switched  # type: ignore[arg-type]
    check_switched(bench)
    assert clean(bench.path)


def test_a_damaged_old_generation_stops_nothing(bench: Any) -> None:
    grown(bench)
    (bench.path / "generations" / "000001.json").write_text("{}")
    assert reembed(bench.path, Other()).switched  # type: ignore[arg-type]
    check_switched(bench)


@pytest.mark.slow
def test_dying_at_any_step(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    grown(bench)
    before = state(bench.path)
    steps: list[str] = []
    reembed(copied(bench, "whole").path, Other(), files=Faulty(lambda step, _: steps.append(step)))  # type: ignore[arg-type]
    for fatal in range(len(steps)):
        victim = copied(bench, "victim")
        with suppress(Died):
            reembed(victim.path, Other(), files=dying_at(fatal))  # type: ignore[arg-type]
        assert state(victim.path) == before
        assert verify(victim.path).ok
        with suppress(InputError):  # that it has been switched to already
            reembed(victim.path, Other())  # type: ignore[arg-type]
        check_switched(victim)
        merge_collection(victim.path, fully=True)
        assert clean(victim.path)
