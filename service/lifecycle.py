"""Where the process stands between start and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.door import Door


@dataclass(slots=True)
class Lifecycle:
    """Changed by the server, the guard and the application, read by the probes; lives on one event loop."""

    draining: bool = False  # a signal came: not ready any more, still answering
    closed: bool = False  # what comes now is refused
    in_progress: int = 0  # requests being answered, probes aside
    door: Door | None = None  # while there is an application behind it
