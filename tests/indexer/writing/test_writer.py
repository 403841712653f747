"""The contract of the writer: upserts, deletes, atomic commits, resumed builds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from indexer.writing import prepare_commit
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.writer import Writer
from retrieval.errors import (
    BadDocument,
    CollectionLocked,
    CorruptCollection,
    EncoderMismatch,
    NotACollection,
    SchemaError,
)
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import VectorSettings
from retrieval.types import Document
from retrieval.util import files as file_steps
from retrieval.util.files import take_lock


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return an event that is set as soon as a thread waits for a lock."""
    event = Event()
    try_lock = file_steps.try_lock

    def try_and_tell(descriptor: int, path: Path) -> bool:
        locked = try_lock(descriptor, path)
        if not locked:
            event.set()
        return locked

    monkeypatch.setattr(file_steps, "try_lock", try_and_tell)
    return event


def live_texts(bench: Any) -> dict[str, str]:
    """Return the text of every live document by its id, as a reader sees them."""
    with open_index_reader(bench.path) as reader:
        return {each.id: each.text for each in reader.documents(np.flatnonzero(reader.live_documents))}


def test_what_is_added_is_read_back(bench: Any) -> None:
    one = bench.document("a", "short", year=1999, tags=["x", "y"], day="2024-05-01", draft=False)
    two = bench.document("b", "a text that is long enough for two passages")
    assert bench.add(one, two) == 1
    with open_index_reader(bench.path) as reader:
        assert reader.rows == 3
        assert reader.document_of.tolist() == [0, 1, 1]
        assert reader.keys.tolist() == [0, 1, 2]
        read = reader.documents([1, 0])
        assert [each.id for each in read] == ["b", "a"]
        assert read[1].metadata["year"] == 1999.0
        assert read[1].metadata["tags"] == ("x", "y")
        assert reader.passages([2]) == [bench.cut(two)[1]]
        assert reader.find("b") == 1
        assert reader.find("c") is None
        assert reader.column("draft").to_pylist() == [False, None]


def test_vectors_find_their_own_passage(bench: Any) -> None:
    documents = [bench.document(f"d{n}") for n in range(50)]
    bench.add(*documents[:30])
    bench.add(*documents[30:])
    with open_index_reader(bench.path) as reader:
        for row, ranking in enumerate(reader.vectors.search(bench.vectors(documents), 1, allowed=reader.live)):
            assert ranking.rows.tolist() == [row]
            assert ranking.scores[0] == pytest.approx(1, abs=1e-3)


def test_a_later_document_replaces_an_earlier_one(bench: Any) -> None:
    with bench.writer(limits=SegmentLimits(passages=2)) as writer:
        for number in range(5):
            bench.put(writer, [bench.document("a", f"version {number}"), bench.document(f"b{number}")])
        writer.commit()
    assert writer.counts.duplicates == 4
    assert live_texts(bench)["a"] == "version 4"
    with bench.writer() as writer:
        bench.put(writer, [bench.document("a", "old"), bench.document("a", "new")])
        writer.commit()
    assert (writer.counts.replaced, writer.counts.duplicates) == (1, 1)
    assert live_texts(bench)["a"] == "new"
    with open_index_reader(bench.path) as reader:
        assert reader.manifest.documents == int(reader.live_documents.sum()) == 6
        assert reader.manifest.passages == int(reader.live.sum())


def test_deleted_documents_are_gone(bench: Any) -> None:
    bench.add(bench.document("a"), bench.document("b"))
    with bench.writer() as writer:
        bench.put(writer, [bench.document("b", "again"), bench.document("c")])
        assert writer.delete(["b", "c", "unknown", "c"]) == 2
        writer.commit()
    assert live_texts(bench) == {"a": "text of a"}
    with open_index_reader(bench.path) as reader:
        assert reader.find("b") is None
        assert len(reader.manifest.segments) == 1  # one without live documents is left out


def test_a_document_added_after_its_deletion_is_there(bench: Any) -> None:
    bench.add(bench.document("a"))
    with bench.writer() as writer:
        writer.delete(["a"])
        bench.put(writer, [bench.document("a", "back")])
        writer.commit()
    assert live_texts(bench) == {"a": "back"}


def test_nothing_is_visible_before_the_commit(bench: Any) -> None:
    bench.add(bench.document("a"))
    with bench.writer(limits=SegmentLimits(passages=1)) as writer:
        bench.put(writer, [bench.document("b")])
        assert live_texts(bench) == {"a": "text of a"}
    assert live_texts(bench) == {"a": "text of a"}
    assert len(list((bench.path / "segments").iterdir())) == 1  # given up, and cleaned up


def test_a_segment_is_finished_when_its_metadata_are_many(bench: Any) -> None:
    with bench.writer(limits=SegmentLimits(text_bytes=1000)) as writer:
        bench.put(writer, [bench.document("a", tags=["short"])])
        assert not (bench.path / "pending.json").exists()
        bench.put(writer, [bench.document("b", tags=["x" * 600, "y" * 600])])
        assert (bench.path / "pending.json").exists()


def test_an_open_generation_outlives_its_files(bench: Any) -> None:
    bench.add(bench.document("a"))
    with open_index_reader(bench.path) as old:
        for number in range(6):
            bench.add(bench.document("a", f"version {number}"))
        assert not (bench.path / "generations" / "000001.json").exists()
        assert old.documents([0])[0].text == "text of a"
        assert old.vectors.search(bench.vectors([bench.document("a")]), 1)[0].rows.tolist() == [0]
        assert old.find("a") == 0


def test_unchanged_documents_make_no_generation(bench: Any) -> None:
    documents = [bench.document(f"d{n}", year=n) for n in range(5)]
    bench.add(*documents)
    with bench.writer() as writer:
        assert writer.unchanged(documents) == [True] * 5
        assert writer.unchanged([bench.document("d0", "another text")]) == [False]
        assert writer.commit() == 1


def test_unchanged_keeps_the_order_of_two_versions(bench: Any) -> None:
    first, second = bench.document("a"), bench.document("a", "second")
    bench.add(first)
    with bench.writer() as writer:
        assert writer.unchanged([second]) == [False]
        assert writer.unchanged([first]) == [False]  # `second` is still on its way
        bench.put(writer, [second])
        assert writer.unchanged([first]) == [False]
        bench.put(writer, [first])
        assert writer.unchanged([second, first]) == [True, False]  # `first` will replace `second` in any case
        writer.commit()
    assert live_texts(bench) == {"a": "text of a"}
    with bench.writer() as writer:
        assert writer.unchanged([second, first]) == [True, True]
        assert (writer.counts.unchanged, writer.counts.duplicates) == (1, 1)
        assert writer.unchanged([first, second]) == [True, False]


def test_documents_that_the_source_lacks_are_deleted(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(4)))
    with bench.writer() as writer:
        writer.unchanged([bench.document("d1"), bench.document("d2", "new")])
        bench.put(writer, [bench.document("d2", "new"), bench.document("e")])
        assert writer.delete_unseen() == 2
        writer.commit()
    assert live_texts(bench) == {"d1": "text of d1", "d2": "new", "e": "text of e"}


def test_an_interrupted_build_is_resumed(bench: Any) -> None:
    documents = [bench.document(f"d{n}") for n in range(10)]

    def interrupted() -> None:
        with bench.writer(limits=SegmentLimits(passages=3)) as writer:
            for document in documents[:8]:
                bench.put(writer, [document])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(NotACollection):
        open_index_reader(bench.path)
    source = [*documents[1:], bench.document("d2", "changed")]  # d0 is gone from the source by now
    with bench.writer() as writer:
        for document in source:
            if not writer.unchanged([document])[0]:
                bench.put(writer, [document])
        assert writer.counts.resumed == 5  # d1 … d5: two finished segments, of which d0 is not wanted any more
        writer.commit()
    assert live_texts(bench) == {each.id: each.text for each in source}
    assert not (bench.path / "pending.json").exists()


def test_deleting_and_merging_leave_an_interrupted_build_alone(bench: Any) -> None:
    bench.add(bench.document("a"), bench.document("z"))
    with suppress(KeyboardInterrupt), bench.writer(limits=SegmentLimits(passages=1)) as writer:
        bench.put(writer, [bench.document("b")])
        raise KeyboardInterrupt
    with bench.writer() as writer:
        writer.delete(["a"])
        writer.commit()
    merge_collection(bench.path, fully=True)
    with bench.writer() as writer:
        assert writer.unchanged([bench.document("b"), bench.document("z")]) == [True, True]
        assert (writer.counts.resumed, writer.counts.unchanged) == (1, 1)
        writer.commit()
    assert live_texts(bench) == {"b": "text of b", "z": "text of z"}


def test_an_interrupted_ann_index_is_gone_on_with(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(bench.settings, vectors=VectorSettings(structure="HNSW8,SQ8", recall=0.8))
    bench = replace(bench, settings=settings)
    documents = [bench.document(f"d{n}", f"short {n}") for n in range(1100)]
    built: list[Path] = []

    def interrupted(*arguments: Any, **_: Any) -> None:
        path = arguments[4]
        built.append(path)
        path.with_name(path.name + ".partial").write_bytes(b"what was done so far")
        raise KeyboardInterrupt

    build = prepare_commit.build_faiss_index
    monkeypatch.setattr(prepare_commit, "build_faiss_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.add(*documents)
    monkeypatch.setattr(prepare_commit, "build_faiss_index", build)
    with bench.writer() as writer:
        assert all(writer.unchanged(documents))
        assert built[0].with_name(built[0].name + ".partial").exists()
        writer.commit()
    assert built[0].exists()
    assert not built[0].with_name(built[0].name + ".partial").exists()
    assert verify(bench.path).ok
    assert verify(bench.path).orphans == ()


def test_a_first_build_that_fails_leaves_what_was_there(bench: Any) -> None:
    deep = replace(bench, folder=bench.folder / "one" / "two")
    with pytest.raises(BadDocument, match="empty id"):
        deep.add(bench.document("a"), Document("", "text"))
    assert not (bench.folder / "one").exists()
    bench.path.mkdir()
    with bench.writer():
        pass  # without a commit
    assert list(bench.path.iterdir()) == []


def test_finished_segments_of_a_first_build_stay_and_are_spoken_of(bench: Any) -> None:
    def interrupted() -> None:
        with bench.writer(limits=SegmentLimits(passages=2)) as writer:
            for number in range(5):
                bench.put(writer, [bench.document(f"d{number}")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    kept = f"4 finished passages are kept in {bench.path}; index the same sources again to resume"
    assert caught.value.__notes__ == [kept]
    with bench.writer() as writer:
        assert writer.unchanged([bench.document("d1")]) == [True]
        writer.rollback()  # gives them up
    assert not bench.path.exists()


def test_a_writer_that_waits_for_a_failing_first_build_makes_the_collection(bench: Any, waiting: Event) -> None:
    pool = ThreadPoolExecutor(1)

    def wait() -> None:
        with bench.writer(wait_s=30) as writer:
            bench.put(writer, [bench.document("b")])
            writer.commit()

    with suppress(BadDocument), bench.writer() as writer:
        done = pool.submit(wait)
        assert waiting.wait(30)
        bench.put(writer, [Document("", "text")])
    done.result()
    pool.shutdown()
    assert live_texts(bench) == {"b": "text of b"}
    assert verify(bench.path).orphans == ()


def test_a_writer_that_waits_for_a_dropped_collection_gets_an_error(bench: Any, waiting: Event) -> None:
    bench.add(bench.document("a"))
    lock = take_lock(bench.path / "lock")

    def wait() -> None:
        with Writer(bench.path, wait_s=30) as writer:
            writer.delete(["a"])

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(wait)
        assert waiting.wait(30)
        bench.path.rename(bench.folder / "dropped")
        lock.release()
        with pytest.raises(NotACollection):
            done.result()
    assert not bench.path.exists()


def test_many_first_builds_at_once_of_which_one_succeeds(bench: Any) -> None:
    def build(number: int) -> None:
        with suppress(BadDocument), bench.writer(wait_s=30) as writer:
            bench.put(writer, [bench.document("good") if number == 20 else Document("", "text")])
            writer.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(build, range(40)))
    assert live_texts(bench) == {"good": "text of good"}


@pytest.mark.parametrize("generations", [1, 2])
def test_a_collection_whose_manifest_is_lost_is_not_built_over(bench: Any, generations: int) -> None:
    names = "ab"[:generations]
    for name in names:
        bench.add(bench.document(name))
    (bench.path / "manifest.json").unlink()
    (bench.path / "reembed-0123456789ab").touch()  # of an encoder that was tried
    with pytest.raises(CorruptCollection, match=f"generation {generations} is kept; `attendex rollback`"):
        open_index_reader(bench.path)
    with pytest.raises(CorruptCollection, match=f"generation {generations} is kept; `attendex rollback`"):
        bench.add(bench.document("c"))
    assert not verify(bench.path).ok
    assert roll_back(bench.path) == generations + 1
    assert verify(bench.path).ok
    assert live_texts(bench) == {name: f"text of {name}" for name in names}


def test_a_writer_that_waits_for_a_first_build_does_not_overwrite_its_generation(bench: Any, waiting: Event) -> None:
    """The waiting writer looked at the directory while it was empty."""
    bench.path.mkdir()
    lock = take_lock(bench.path / "lock")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(bench.writer(wait_s=30).__enter__)
        assert waiting.wait(30)
        made = replace(bench, folder=bench.folder / "elsewhere")
        made.folder.mkdir()
        made.add(made.document("a"))
        for each in made.path.iterdir():
            if each.is_dir():
                each.rename(bench.path / each.name)
        lock.release()
        with pytest.raises(CorruptCollection, match="generation 1 is kept"):
            done.result()
    roll_back(bench.path)
    assert live_texts(bench) == {"a": "text of a"}


def test_another_change_gives_an_interrupted_build_up(bench: Any) -> None:
    bench.add(bench.document("a"))
    with suppress(KeyboardInterrupt), bench.writer(limits=SegmentLimits(passages=1)) as writer:
        bench.put(writer, [bench.document("b")])
        raise KeyboardInterrupt
    bench.add(bench.document("c"))
    assert live_texts(bench) == {"a": "text of a", "c": "text of c"}
    assert len(list((bench.path / "segments").iterdir())) == 2


def test_a_second_writer_is_told_who_holds_the_lock(bench: Any) -> None:
    with bench.writer(), pytest.raises(CollectionLocked, match=r"held by process \d+ on "), bench.writer():
        pass


def test_bad_input_is_refused_whole(bench: Any) -> None:
    with bench.writer() as writer:
        bench.put(writer, [bench.document("a", year=1)])
        with pytest.raises(SchemaError, match=r"document 'b': field 'year' is a number, and 'soon' is not"):
            bench.put(writer, [bench.document("c"), bench.document("b", year="soon")])
        with pytest.raises(BadDocument, match="empty id"):
            bench.put(writer, [Document("", "text")])
        with pytest.raises(BadDocument, match="surrogate"):
            bench.put(writer, [Document("\ud800", "text")])
        with pytest.raises(EncoderMismatch, match="3 dimensions for a collection of 8"):
            writer.add([bench.document("d")], [[]], np.zeros((0, 3), np.float32))
        writer.commit()
    assert list(live_texts(bench)) == ["a"]


def test_another_encoder_is_refused(bench: Any) -> None:
    bench.add(bench.document("a"))
    other = replace(bench.settings, encoder=replace(bench.settings.encoder, weights_sha256="other"))
    with pytest.raises(EncoderMismatch, match="weights_sha256: 'w', 'other'"), Writer(bench.path, create=other):
        pass


def test_a_directory_with_other_things_is_refused(bench: Any) -> None:
    bench.path.mkdir()
    (bench.path / "thesis.tex").write_text("years of work")
    with pytest.raises(NotACollection, match=r"thesis\.tex"), bench.writer():
        pass
    with pytest.raises(NotACollection, match="attendex index"), Writer(bench.folder / "nowhere"):
        pass
    assert not (bench.folder / "nowhere").exists()


def test_the_schema_grows_with_the_documents(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("b", year=1))
    bench.add(bench.document("c", topic="x"))
    with open_index_reader(bench.path) as reader:
        assert dict(reader.schema) == {"year": "number", "topic": "string"}
        assert reader.column("year").to_pylist() == [None, 1.0, None]


def test_a_given_schema_takes_no_other_field(bench: Any) -> None:
    settings = replace(bench.settings, schema={})
    with Writer(bench.path, create=settings) as writer, pytest.raises(SchemaError, match="'year' is not in the schema"):
        bench.put(writer, [bench.document("a", year=1)])


def test_the_unreadable_share_is_that_of_the_live_documents(bench: Any) -> None:
    documents = [bench.document(name) for name in "abc"]
    with bench.writer() as writer:
        shares = np.array([0.5, 0.1, np.nan], np.float32)
        writer.add(documents, [bench.cut(each) for each in documents], bench.vectors(documents), shares)
        writer.delete(["a"])
        writer.commit()
    with open_index_reader(bench.path) as reader:
        assert reader.manifest.unreadable_share == pytest.approx(0.1)
