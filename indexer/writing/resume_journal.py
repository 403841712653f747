"""What a long build has finished so far, so that an interrupted one goes on where it was.

`pending.json` names segments that are whole and durable, but part of no generation.  The next writer takes over from
them, instead of encoding again, each document that it is given unchanged; what it is not given stays out.  A journal
that does not fit any more, since passages were added to the collection, is thrown away: it only ever saves work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import CorruptCollection, InputError
from retrieval.index.storage.manifest import SegmentRecord, seal, segment_from_json, segment_to_json, unseal
from retrieval.index.storage.settings import CollectionSettings, settings_from_json, settings_to_json
from retrieval.types import FieldType, Schema
from retrieval.util.files import Files, replace_atomically

JOURNAL = "pending.json"


@dataclass(frozen=True, slots=True)
class Journal:
    """Finished segments of a build; their passages have the keys from `base_key` on."""

    base_key: int
    settings: CollectionSettings
    schema: Schema
    segments: tuple[SegmentRecord, ...]
    next_key: int

    def fits(self, next_key: int, settings: CollectionSettings, schema: Schema) -> bool:
        """Whether a writer that starts with this key, settings and fields would have made the same segments."""
        same_types = all(self.schema.get(name, kind) == kind for name, kind in schema.items())
        return self.base_key == next_key and same_types and _identity(self.settings) == _identity(settings)


def _identity(settings: CollectionSettings) -> dict[str, Any]:
    """What decides how segments look; the canaries' vectors may differ in rounding, and the encoder in name."""
    body = settings_to_json(settings)
    del body["canaries"], body["encoder"]["name"]
    return body  # type: ignore[no-any-return]


def write_journal(collection: Path, journal: Journal, files: Files) -> None:
    """Replace the journal, durably."""
    body = {
        "base_key": journal.base_key,
        "settings": settings_to_json(journal.settings),
        "schema": dict(journal.schema),
        "segments": [segment_to_json(each) for each in journal.segments],
        "next_key": journal.next_key,
    }
    replace_atomically(collection / JOURNAL, seal(body), files)


def read_journal(collection: Path) -> Journal | None:
    """The journal, None when there is none or it cannot be used."""
    path = collection / JOURNAL
    try:
        body = unseal(path.read_bytes(), path)
        return Journal(
            base_key=body["base_key"],
            settings=settings_from_json(body["settings"]),
            schema={name: FieldType(kind) for name, kind in body["schema"].items()},
            segments=tuple(segment_from_json(each) for each in body["segments"]),
            next_key=body["next_key"],
        )
    except (OSError, CorruptCollection, InputError, KeyError, TypeError, ValueError):
        return None
