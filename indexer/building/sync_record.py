"""Record how a synchronization ended, for monitors (`sync.json`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer.building.source_sync import SourceReport, SyncReport
from indexer.sources.settings import SourceSettings
from indexer.writing.sync_status import MAX_ERROR_CHARACTERS, SourceStatus, read_status, record_status
from retrieval.errors import AttendexError


def record_run(
    into: Path,
    sources: Sequence[SourceSettings],
    result: SyncReport | AttendexError,
    pause_s: Callable[[SourceSettings], float] | None = None,
) -> None:
    """Record the result for each source; `pause_s` tells when the next run is due.

    A disk that is full, or may not be written, does not stop a synchronization.
    """
    ended = datetime.now(UTC)
    before = read_status(into)
    reports = {each.source: each for each in result.sources} if isinstance(result, SyncReport) else {}
    found = []
    for source in sources:
        error = str(result) if isinstance(result, AttendexError) else ""
        report = reports.get(source.key, SourceReport(source.key, 0, 0, 0, 0, 0, 0, error=error))
        status = SourceStatus(ended=_shown(ended), **asdict(report))
        status = replace(status, error=status.error[:MAX_ERROR_CHARACTERS])
        last = before[source.key].succeeded if source.key in before else None
        due = _shown(ended + timedelta(seconds=pause_s(source))) if pause_s else None
        found.append(replace(status, succeeded=last if status.error else status.ended, next=due))
    try:
        record_status(into, found)
    except (AttendexError, OSError) as error:
        logging.getLogger(__name__).warning("the result of a synchronization is not recorded: %s", error)


def _shown(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
