"""`attendex restart`: replace the workers of a running service, without a gap."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import NotFound, RemoteError
from retrieval.util.terminal import reports_errors, stderr

if TYPE_CHECKING:
    from service.processes.runtime_folder import RunningService

POLL_S = 0.1


@reports_errors
def restart(
    directory: Annotated[
        Path | None, typer.Argument(help="The directory that the service serves.", metavar="DIR", show_default=False)
    ] = None,
) -> None:
    """Replace the workers of a service by new ones, one by one; no request is lost.

    The new workers run the present code, and read the settings and the encoders anew. Only a service with several
    processes can do that. SIGHUP to its parent has the same effect.

    Examples:

      attendex restart papers
    """
    from service.processes.peers import NUMBERS_FILE
    from service.processes.shared_numbers import SERVICE_ROW, ServiceColumn, SharedNumbers

    folder, service = find_service(directory)
    cells = SharedNumbers.open(folder / NUMBERS_FILE).row(SERVICE_ROW)
    before = cells[ServiceColumn.REPLACED], cells[ServiceColumn.NOT_REPLACED]
    os.kill(service.pid, signal.SIGHUP)
    while (cells[ServiceColumn.REPLACED], cells[ServiceColumn.NOT_REPLACED]) == before:
        if not folder.exists():
            raise RemoteError(f"the service of {service.directory} ended meanwhile; its log says why")
        time.sleep(POLL_S)
    if cells[ServiceColumn.NOT_REPLACED] > before[1]:
        raise RemoteError("a new worker did not start, so the workers stay as they were; the service's log says why")
    stderr().print(f"replaced the {cells[ServiceColumn.PROCESSES]:.0f} workers of {service.url}")


def find_service(directory: Path | None) -> tuple[Path, RunningService]:
    """Return the folder and the description of a running service.  Raises NotFound."""
    from service.processes.runtime_folder import running_services

    found = list(running_services())
    wanted = [each for each in found if directory is None or Path(each[1].directory) == directory.resolve()]
    if len(wanted) == 1:
        return wanted[0]
    known = ", ".join(service.directory for _, service in found) or "none"
    if wanted:
        raise NotFound(f"several services run; name the directory of one (running: {known})")
    raise NotFound(f"no service with several processes serves {directory or 'anything'} (running: {known})")
