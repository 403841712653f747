"""A process dies or fails at each step of accepting and finishing a job: no job is lost, and no file is left."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from retrieval.errors import StorageError
from retrieval.util.files import Files, PrivateFiles, storage_errors
from service.config.upload_settings import JobSettings
from service.runtime.job_folder import FINISHED, FINISHED_LOCK, JOBS, SUFFIX, JobFolder
from tests.indexer.faults import Died, Faulty, dying_at

RESULT = {"finished": "2999-01-01", "status": "done"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: these tests end processes, not the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def folder(path: Path, files: Files | None = None, **settings: int) -> JobFolder:
    path.mkdir(exist_ok=True)
    return JobFolder(path, JobSettings(**settings), files)


def accept(jobs: JobFolder, acknowledged: list[str]) -> None:
    """Accept a change and an upload; note each as soon as the caller would hear of it."""
    jobs.accept("aa", {"number": 1})
    acknowledged.append("aa")
    (jobs.new_files("bb") / "0").write_text("content")
    jobs.accept("bb", {"number": 2}, has_files=True)
    acknowledged.append("bb")


def apply(jobs: JobFolder, acknowledged: list[str]) -> None:
    """Accept two jobs, begin them, and store their results."""
    accept(jobs, acknowledged)
    jobs.begin("aa")
    jobs.finish([{"id": "aa", "number": 1, **RESULT}])
    jobs.begin("bb")
    jobs.finish([{"id": "bb", "number": 2, **RESULT}])
    jobs.close()


def left(path: Path) -> list[str]:
    """Return the files of a job folder that belong to no finished job."""
    found = [each.name for each in (path / "jobs").rglob("*")] if (path / "jobs").exists() else []
    return [name for name in found if name not in (FINISHED, FINISHED_LOCK)]


def check_survivor(path: Path, acknowledged: list[str]) -> None:
    """Check that the next process knows each job that was acknowledged, and leaves nothing."""
    jobs = folder(path)
    unfinished = jobs.take_over()
    finished = jobs.finished()
    assert all(not job.error for job in unfinished)
    assert [job.id for job in unfinished] == sorted(job.id for job in unfinished)
    assert {job.id for job in unfinished}.isdisjoint(finished)
    assert set(acknowledged) <= {job.id for job in unfinished} | finished.keys()
    for job in unfinished:
        if job.id == "bb":
            assert (jobs.files_of("bb") / "0").read_text() == "content"
        jobs.finish([{"id": job.id, "number": job.record["number"], **RESULT}])
    jobs.close()
    assert left(path) == []
    assert folder(path).take_over() == []


def release(jobs: JobFolder) -> None:
    """Drop the locks of a dead process, as the kernel does."""
    for descriptor in jobs._locks.values():
        os.close(descriptor)


def at_each_step(tmp_path: Path, files_at: Callable[[int], Files], check: Callable[[Path, list[str]], None]) -> int:
    """Run all operations, with a fault at each of their steps; return the number of steps."""
    steps: list[str] = []
    apply(folder(tmp_path / "whole", Faulty(lambda step, _: steps.append(step))), [])
    assert left(tmp_path / "whole") == []
    for fatal in range(len(steps)):
        path, acknowledged = tmp_path / str(fatal), list[str]()
        jobs = folder(path, files_at(fatal))
        with suppress(Died, StorageError):
            apply(jobs, acknowledged)
        release(jobs)
        check(path, acknowledged)
    return len(steps)


def test_dying_at_any_step_loses_no_job(tmp_path: Path) -> None:
    assert at_each_step(tmp_path, dying_at, check_survivor) > 20


def test_a_step_that_fails_loses_no_job(tmp_path: Path) -> None:
    def refusing(fatal: int) -> Files:
        steps: list[str] = []

        def before(step: str, path: Path) -> None:
            steps.append(step)
            if len(steps) == fatal + 1:
                with storage_errors(path):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return Faulty(before)

    at_each_step(tmp_path, refusing, check_survivor)


def test_the_next_process_may_die_while_it_takes_over(tmp_path: Path) -> None:
    first, acknowledged = folder(tmp_path / "c"), list[str]()
    accept(first, acknowledged)
    (first.new_files("cc") / "0").write_text("an upload that broke off")
    release(first)
    for fatal in range(40):
        second = folder(tmp_path / "c", dying_at(fatal))
        with suppress(Died):
            for job in second.take_over():
                second.finish([{"id": job.id, "number": job.record["number"], **RESULT}])
            second.close()
        release(second)
    check_survivor(tmp_path / "c", acknowledged)
    assert list(folder(tmp_path / "c").finished()) == ["aa", "bb"]


def test_jobs_of_a_living_process_are_not_taken_over(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "c"), folder(tmp_path / "c")
    accept(first, [])
    assert second.take_over() == []
    assert list(second.accepted()) == ["aa", "bb"] or set(second.accepted()) == {"aa", "bb"}
    first.close()
    assert [job.id for job in second.take_over()] == ["aa", "bb"]


def test_a_new_folder_does_not_wait_for_the_thread_that_looks_for_dead_processes(tmp_path: Path) -> None:
    class Met(PrivateFiles):
        """`take_over` runs between the making of the folder of a process and its lock."""

        def make_directory(self, path: Path) -> None:
            super().make_directory(path)
            if path.parent.name == JOBS and not threads:
                threads.append(Thread(target=jobs.take_over, daemon=True))
                threads[0].start()
                threads[0].join(0.3)  # it has the lock now if it waits for a thing that this thread has

    threads: list[Thread] = []
    jobs = folder(tmp_path / "c", Met())
    accepting = Thread(target=jobs.accept, args=("aa", {"number": 1}), daemon=True)
    accepting.start()
    accepting.join(30)
    assert not accepting.is_alive()
    threads[0].join(30)
    assert list(jobs.accepted()) == ["aa"]


def test_an_upload_that_was_given_up_cannot_be_accepted_later(tmp_path: Path) -> None:
    jobs = folder(tmp_path / "c")
    jobs.new_files("bb")
    jobs.discard_unaccepted("bb")
    with pytest.raises(StorageError):
        jobs.accept("bb", {"number": 1}, has_files=True)
    jobs.new_files("cc")
    jobs.accept("cc", {"number": 1}, has_files=True)
    jobs.discard_unaccepted("cc")
    assert list(jobs.accepted()) == ["cc"]


def test_damage_is_told_and_attempts_are_counted(tmp_path: Path) -> None:
    jobs = folder(tmp_path / "c")
    accept(jobs, [])
    jobs.begin("aa")
    jobs.begin("aa")
    (record,) = (tmp_path / "c").rglob(f"bb{SUFFIX}")
    record.write_bytes(record.read_bytes().replace(b"2", b"3"))
    release(jobs)
    found = {job.id: job for job in folder(tmp_path / "c").take_over()}
    assert (found["aa"].attempts, found["aa"].error) == (2, "")
    assert "its digest differs" in found["bb"].error


def test_results_are_kept_in_bounds(tmp_path: Path) -> None:
    jobs = folder(tmp_path / "c", kept=3, days=10)
    old = {"number": 0, "finished": "1999-01-01", "status": "done"}
    jobs.finish([{"id": "old", **old}])
    assert list(jobs.finished()) == ["old"]
    jobs.finish([{"id": str(number), **RESULT} for number in range(2)])
    assert list(jobs.finished()) == ["0", "1"]
    jobs.finish([{"id": str(number), **RESULT} for number in range(2, 5)])
    assert list(folder(tmp_path / "c").finished()) == ["2", "3", "4"]
    assert (tmp_path / "c" / "jobs" / FINISHED).stat().st_mode & 0o077 == 0  # webhooks have keys
