"""A service whose collections are copies of those of a source, and their age."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from indexer.replicas.follower import Follower, FollowStatus, check_folder, read_status
from indexer.replicas.opening import open_replica_source
from service.config.outgoing_settings import FollowSettings


def open_follower(folder: Path, settings: FollowSettings, changed: Callable[[], None]) -> Follower:
    """Return the follower of a folder; `changed` serves new generations."""
    source = open_replica_source(settings.source, endpoint=settings.endpoint, region=settings.region)
    return Follower(folder, source, changed, wait_s=settings.seconds)


def check_following(folder: Path, settings: FollowSettings) -> None:
    """Make the folder of the copies, if it is missing.

    Raises SettingsError for a folder with collections of its own or a wrong address, MissingExtra.
    """
    open_replica_source(settings.source, endpoint=settings.endpoint, region=settings.region)
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)


class Copies:
    """The state of the copies in a folder, as the follower tells it to any process."""

    def __init__(self, folder: Path, settings: FollowSettings) -> None:
        self._folder = folder
        self._source = settings.source

    def status(self) -> FollowStatus | None:
        """Return the state of the follower; None if the service follows no source."""
        return read_status(self._folder) if self._source else None

    def ages_s(self) -> dict[str, float]:
        """Return for how long each copy may be out of date, by collection."""
        status = self.status()
        ages = {name: copy.age_s() for name, copy in status.collections.items()} if status else {}
        return {name: round(age, 3) for name, age in ages.items() if age is not None}

    def problem(self) -> str:
        """Return why copies may be out of date, and since when; "" if they are not."""
        status = self.status()
        if status is None:
            return ""
        errors = [status.error, *(copy.error for copy in status.collections.values())]
        known = list(dict.fromkeys(filter(None, errors)))
        if not known:
            return ""
        ages = ", ".join(f"{name} is {age:.0f} s old" for name, age in self.ages_s().items())
        served = f"the copies are served: {ages}" if ages else "there is no copy yet"
        return f"{'; '.join(known)} ({served})"
