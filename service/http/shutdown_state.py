"""Where the process stands between start and end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.http.early_refusal import Door


@dataclass(slots=True)
class Lifecycle:
    """Changed by the server, the guard and the application, read by the probes; lives on one event loop."""

    draining: bool = False  # a signal came: not ready any more, still answering
    closed: bool = False  # what comes now is refused
    in_progress: int = 0  # requests being answered, probes aside
    ends_at: float | None = None  # by the monotonic clock, once a signal came: when the grace period is over
    door: Door | None = None  # while there is an application behind it
    refused: Callable[[str], None] = lambda _reason: None  # told of what is refused before that

    def left_s(self, grace_s: float) -> float:
        """What is left of the grace period; all of it where no signal came."""
        return grace_s if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
