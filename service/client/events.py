"""Server-sent events: steps of a job, pieces of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its id, its name, and its data, which is decoded JSON."""

    id: str
    name: str
    data: Any


class EventReader:
    """Reads a stream of events (WHATWG HTML, section 9.2) as it arrives."""

    def __init__(self) -> None:
        self._rest = b""  # of a line that is not complete
        self._id, self._name = "", "message"
        self._data: list[str] = []

    def take(self, received: bytes) -> list[Event]:
        """Return the events that are complete now.  Raises ValueError."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [event for line in lines if (event := self._line(line.removesuffix(b"\r").decode()))]

    def _line(self, line: str) -> Event | None:
        """Read a line; return the event that an empty line ends."""
        if not line:
            return self._finished()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id":
            self._id = value
        return None

    def _finished(self) -> Event | None:
        data, name = "\n".join(self._data), self._name
        self._data, self._name = [], "message"
        return Event(self._id, name, json.loads(data)) if data else None
