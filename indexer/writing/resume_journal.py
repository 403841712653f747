"""Record the finished segments of a long build, to resume it later.

`pending.json` names segments that are complete and durable, but part of no generation.  The next writer reuses a
document of them that it is given unchanged, instead of encoding it again; it drops the others.  A journal that no
longer fits, because passages were added to the collection since, is deleted: that costs work, and no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import CorruptCollection, InputError
from retrieval.index.storage.manifest import SegmentRecord, seal, segment_from_json, segment_to_json, unseal
from retrieval.index.storage.settings import CollectionSettings, settings_from_json, settings_to_json
from retrieval.search.encoder_check import same_canaries
from retrieval.types import FieldType, Schema
from retrieval.util.files import Files
from retrieval.util.remote_names import is_remote
from retrieval.util.temporaries import replace_atomically

JOURNAL = "pending.json"


@dataclass(frozen=True, slots=True)
class ResumeJournal:
    """Finished segments of a build; their passages have keys from `base_key` up."""

    base_key: int
    settings: CollectionSettings
    schema: Schema
    segments: tuple[SegmentRecord, ...]
    next_key: int

    def fits(self, next_key: int, settings: CollectionSettings, schema: Schema) -> bool:
        """Check whether a writer that starts with these would make the same segments."""
        same_types = all(self.schema.get(name, kind) == kind for name, kind in schema.items())
        if is_remote(settings.encoder.name) and not same_canaries(self.settings.canaries, settings.canaries):
            return False  # the service runs another model than in the interrupted build
        return self.base_key == next_key and same_types and _identity(self.settings) == _identity(settings)


def _identity(settings: CollectionSettings) -> dict[str, Any]:
    """Return the settings that decide the content of segments."""
    body = settings_to_json(settings)
    # The vectors of the canaries may differ in rounding, one encoder may have two names, and the commit writes the
    # sparse index.
    del body["canaries"], body["encoder"]["name"]
    body.pop("sparse", None)
    return body  # type: ignore[no-any-return]


def write_journal(collection: Path, journal: ResumeJournal, files: Files) -> None:
    """Replace the journal atomically and durably."""
    body = {
        "base_key": journal.base_key,
        "settings": settings_to_json(journal.settings),
        "schema": dict(journal.schema),
        "segments": [segment_to_json(record) for record in journal.segments],
        "next_key": journal.next_key,
    }
    replace_atomically(collection / JOURNAL, seal(body), files)


def read_journal(collection: Path) -> ResumeJournal | None:
    """Return the journal; None if there is none, or if it is damaged."""
    path = collection / JOURNAL
    try:
        body = unseal(path.read_bytes(), path)
        return ResumeJournal(
            base_key=body["base_key"],
            settings=settings_from_json(body["settings"]),
            schema={name: FieldType(kind) for name, kind in body["schema"].items()},
            segments=tuple(segment_from_json(record) for record in body["segments"]),
            next_key=body["next_key"],
        )
    except (OSError, CorruptCollection, InputError, KeyError, TypeError, ValueError):
        return None
