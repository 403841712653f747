"""A follower has the old generation or the new one, and fetches each byte once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.replicas.folder_source import FolderOfCollections
from indexer.replicas.follower import STATUS, Follower, read_status
from indexer.replicas.generation_files import list_generation
from indexer.replicas.replica import Replica
from indexer.writing.garbage import orphaned_paths
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.sharded_writer import ShardedWriter
from indexer.writing.writer import Writer
from retrieval.errors import SettingsError, SourceUnavailable
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST, kept_generations, read_manifest
from retrieval.util.files import Files
from tests.indexer.conftest import Bench
from tests.indexer.faults import Died, Faulty
from tests.indexer.writing.test_sharded_writer import state


class Counted(FolderOfCollections):
    """A folder that counts the bytes that it gives, and can damage them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.given_bytes = 0
        self.damaged = ""

    def read(self, name: str, path: Path) -> bytes:
        data = super().read(name, path)
        self.given_bytes += len(data)
        return data

    def end(self, name: str, path: Path) -> bytes:
        data = super().end(name, path)
        self.given_bytes += len(data)
        return data

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[bytes]:
        for chunk in super().chunks(name, path, record):
            self.given_bytes += len(chunk)
            yield chunk[:-1] + bytes([chunk[-1] ^ 1]) if path.name == self.damaged and chunk else chunk


@pytest.fixture(params=["one", "sharded"])
def primary(request: pytest.FixtureRequest, bench: Bench) -> Callable[..., None]:
    """Return a function that adds documents to a collection, with or without shards."""

    def add(*names: str, text: str = "text of", delete: tuple[str, ...] = ()) -> None:
        documents = [bench.document(name, f"{text} {name}") for name in names]
        limits = SegmentLimits(passages=6)
        writer = (
            Writer(bench.path, create=bench.settings, limits=limits)
            if request.param == "one"
            else ShardedWriter(bench.path, create=bench.settings, shards=3, limits=limits)
        )
        with writer as opened:
            opened.add(documents, [bench.cut(each) for each in documents], bench.vectors(documents))
            opened.delete(delete)
            opened.commit()

    return add


NAMES = tuple(f"d{n}" for n in range(12))


def copy_path(bench: Bench) -> Path:
    (bench.folder / "copies").mkdir(exist_ok=True)
    return bench.folder / "copies" / bench.path.name


def update(bench: Bench, source: FolderOfCollections | None = None, files: Files | None = None) -> bool:
    return Replica(copy_path(bench), source or FolderOfCollections(bench.path), files=files).update()


def all_bytes(path: Path) -> dict[str, int]:
    """Return the sizes of the files that the current generation of a collection names, by digest."""
    listed = list_generation((path / MANIFEST).read_bytes(), lambda name: (path / name).read_bytes())
    manifests = {f"{path} {data[-80:]!r}": len(data) for path, data in listed.manifests.items()}
    return {record.sha256: record.size_bytes for record in listed.files.values()} | manifests


def test_a_copy_equals_its_source_and_costs_what_changed(bench: Bench, primary: Callable[..., None]) -> None:
    primary(*NAMES)
    source = Counted(bench.path)
    assert update(bench, source)
    assert state(copy_path(bench)) == state(bench.path)
    assert source.given_bytes <= 1.1 * sum(all_bytes(bench.path).values())
    assert not update(bench, source)
    for change in ({"text": "new"}, {"delete": ("d1", "d2")}):
        before = all_bytes(bench.path)
        primary("d3", **change)
        changed = {digest: size for digest, size in all_bytes(bench.path).items() if digest not in before}
        source.given_bytes = 0
        assert update(bench, source)
        assert state(copy_path(bench)) == state(bench.path)
        assert source.given_bytes <= 1.1 * sum(changed.values())


def test_old_generations_are_removed(bench: Bench, primary: Callable[..., None]) -> None:
    for number in range(7):
        primary("d1", "d2", f"e{number}", text=f"version {number} of")
        update(bench)
    assert kept_generations(copy_path(bench)) == [6, 7]
    for folder in [copy_path(bench), *copy_path(bench).glob("shards/*")]:
        if folder == copy_path(bench) and (folder / "shards").exists():
            continue
        kept = [read_manifest(folder, number) for number in reversed(kept_generations(folder))]
        assert len(kept) <= 2
        assert not orphaned_paths(folder, kept)


@pytest.mark.parametrize("step", range(0, 100, 16))
def test_a_killed_follower_has_the_old_generation_or_the_new_one(
    bench: Bench, primary: Callable[..., None], step: int
) -> None:
    primary(*NAMES)
    update(bench)
    old = state(copy_path(bench))
    primary("d3", "x", "y", text="new", delete=("d1",))
    new = state(bench.path)
    shutil.copytree(copy_path(bench), bench.folder / "kept")
    steps: list[str] = []
    update(bench, files=Faulty(lambda name, path: steps.append(f"{name} {path.name}")))
    fatal = len(steps) * step // 100
    shutil.rmtree(copy_path(bench))
    shutil.copytree(bench.folder / "kept", copy_path(bench))
    with pytest.raises(Died):
        update(bench, files=dying(fatal))
    assert state(copy_path(bench)) in (old, new), steps[fatal]
    replica = Replica(copy_path(bench), FolderOfCollections(bench.path))
    replica.recover()
    replica.update()
    assert state(copy_path(bench)) == new
    assert not list(copy_path(bench).rglob("*.attendex-tmp"))


def dying(fatal: int) -> Faulty:
    done = 0

    def before(step: str, path: Path) -> None:
        nonlocal done
        done += 1
        if done > fatal:
            raise Died(step, path)

    return Faulty(before)


def test_finished_files_of_a_killed_update_are_not_fetched_again(bench: Bench, primary: Callable[..., None]) -> None:
    primary(*NAMES)
    source = Counted(bench.path)

    def before(step: str, path: Path) -> None:
        if step == "rename" and path.name == MANIFEST:
            raise Died

    with pytest.raises(Died):
        update(bench, source, files=Faulty(before))
    assert state(copy_path(bench)) is None
    source.given_bytes = 0
    update(bench, source)
    assert state(copy_path(bench)) == state(bench.path)
    assert source.given_bytes < 0.5 * sum(all_bytes(bench.path).values())


def test_a_damaged_download_is_refused(bench: Bench, primary: Callable[..., None]) -> None:
    primary(*NAMES)
    source = Counted(bench.path)
    update(bench, source)
    old = state(copy_path(bench))
    primary("x")
    source.damaged = "vectors.npy"
    with pytest.raises(SourceUnavailable, match=r"vectors.npy .* differs from its digest"):
        update(bench, source)
    assert state(copy_path(bench)) == old
    source.damaged = ""
    assert update(bench, source)
    assert state(copy_path(bench)) == state(bench.path)


def test_a_collection_takes_the_place_of_another_of_its_name(bench: Bench, primary: Callable[..., None]) -> None:
    primary(*NAMES)
    update(bench)
    shutil.rmtree(bench.path)
    primary("other", text="of another collection")
    new = state(bench.path)
    killed = Replica(
        copy_path(bench), FolderOfCollections(bench.path), files=Faulty(dies_after_moving(copy_path(bench)))
    )
    with pytest.raises(Died):
        killed.update()
    assert not copy_path(bench).exists()
    Replica(copy_path(bench), FolderOfCollections(bench.folder / "lost")).recover()
    assert state(copy_path(bench)) == new
    assert [path.name for path in copy_path(bench).parent.iterdir()] == [bench.path.name]


def dies_after_moving(path: Path) -> Callable[[str, Path], None]:
    def before(step: str, target: Path) -> None:
        if step == "rename" and target == path:
            raise Died

    return before


def follow(bench: Bench, source: Path, changed: Callable[[], None] = lambda: None) -> Follower:
    return Follower(copy_path(bench).parent, FolderOfCollections(source), changed)


def test_a_follower_copies_all_collections_and_drops_removed_ones(bench: Bench, primary: Callable[..., None]) -> None:
    primary("a")
    root = bench.folder / "root"
    shutil.copytree(bench.path, root / "first")
    shutil.copytree(bench.path, root / "second")
    calls = []
    with follow(bench, root, lambda: calls.append(1)) as follower:
        follower.poll()
        copies = copy_path(bench).parent
        assert {path.name for path in copies.iterdir() if path.name[0] != "."} == {"first", "second"}
        follower.poll()
        assert len(calls) == 2
        shutil.rmtree(root / "second")
        follower.poll()
        assert not (copies / "second").exists()
        shutil.rmtree(root / "first")
        with pytest.raises(SourceUnavailable, match="holds no collection"):
            follower.poll()
        assert state(copies / "first") == {"a": "text of a"}


def test_a_follower_tells_how_old_its_copies_are(bench: Bench, primary: Callable[..., None]) -> None:
    primary("a")
    folder = copy_path(bench).parent
    with follow(bench, bench.path) as follower:
        follower.poll()
        status = read_status(folder)
        assert status is not None
        known = status.collections[bench.path.name]
        assert known.current_at >= status.reached_at > 0
        assert known.age_s(known.current_at + 7.0) == 7.0
        primary("b")
        bench.path.rename(bench.folder / "moved")
        with pytest.raises(SourceUnavailable, match="cannot be read"):
            follower.poll()
    lost = read_status(folder)
    assert lost is not None
    assert lost.collections[bench.path.name] == known
    assert "cannot be read" in lost.error
    with follow(bench, bench.folder / "moved"):
        assert state(copy_path(bench)) == {"a": "text of a"}


def test_a_folder_with_own_collections_is_refused(bench: Bench, primary: Callable[..., None]) -> None:
    primary("a")
    with (
        pytest.raises(SettingsError, match="holds collections already"),
        Follower(bench.folder, FolderOfCollections(bench.path)),
    ):
        pass
    assert not (bench.folder / STATUS).exists()
