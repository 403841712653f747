"""The manifest: an immutable JSON document that names the files of a generation.

`manifest.json` describes the current generation.  `generations/000042.json` has the same bytes for each generation that
is kept.  A checksum covers every byte of the document.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from retrieval.errors import CorruptCollection, InputError, NotACollection, ShardedCollection
from retrieval.index.storage.checksums import REPAIR, FileRecord
from retrieval.index.storage.settings import CollectionSettings, JsonValue, settings_from_json, settings_to_json
from retrieval.types import EncoderFingerprint, FieldType, Schema

FORMAT = 1
MANIFEST = "manifest.json"
GENERATIONS = "generations"
SEGMENTS = "segments"
DELETIONS = "deletions"
UPDATES = "updates"
LEXICAL = "lexical"

_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class AnnIndexRecord:
    """The ANN index of a segment: its files, its parameters and its measured recall."""

    file: FileRecord
    facts: Mapping[str, JsonValue]
    copies: FileRecord | None = None  # the rows with the vector of an earlier row; None if there are none

    @property
    def files(self) -> tuple[FileRecord, ...]:
        return (self.file,) if self.copies is None else (self.file, self.copies)


@dataclass(frozen=True, slots=True)
class DeletionsRecord:
    """The dead documents of a segment: a file in `deletions/`, a bit per document row."""

    file: FileRecord
    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class UpdatesRecord:
    """New metadata of a segment: a file in `updates/` with a row per document."""

    file: FileRecord
    documents: int


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment: the immutable files in `segments/<name>/`, and what changed since."""

    name: str
    documents: int
    passages: int
    files: tuple[FileRecord, ...]
    deletions: DeletionsRecord | None = None
    ann_index: AnnIndexRecord | None = None
    updates: tuple[UpdatesRecord, ...] = ()  # the oldest first

    @property
    def live_documents(self) -> int:
        return self.documents - (self.deletions.documents if self.deletions else 0)

    @property
    def live_passages(self) -> int:
        return self.passages - (self.deletions.passages if self.deletions else 0)

    def file(self, name: str) -> FileRecord:
        """Return the record of a file.  Raises KeyError."""
        return {record.name: record for record in self.files}[name]


@dataclass(frozen=True, slots=True)
class PostingsRecord:
    """An inverted index: the files in `lexical/<name>/`; generations may share them."""

    name: str
    files: tuple[FileRecord, ...]


@dataclass(frozen=True, slots=True)
class CosineBackground:
    """Cosines of unrelated queries and passages of a collection.

    `deviation` is that of the cosines of one query, on average.  `passages` is the number of live passages that the
    collection had when they were measured.
    """

    mean: float
    deviation: float
    passages: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a generation."""

    generation: int
    created: datetime
    cause: str  # the command that made the generation, for the log: "index corpus.jsonl"
    settings: CollectionSettings
    schema: Schema
    segments: tuple[SegmentRecord, ...]  # in row order
    lexical: PostingsRecord | None
    next_key: int  # the first passage key that no passage ever had
    unreadable_share: float | None = None  # of the live documents' text, that the encoder's tokenizer cannot read
    background: CosineBackground | None = None  # None in few passages, and in a collection of an earlier version
    sparse: PostingsRecord | None = None

    @property
    def encoder(self) -> EncoderFingerprint:
        return self.settings.encoder

    @property
    def documents(self) -> int:
        """The number of live documents."""
        return sum(each.live_documents for each in self.segments)

    @property
    def passages(self) -> int:
        """The number of live passages."""
        return sum(each.live_passages for each in self.segments)

    def paths(self) -> dict[Path, FileRecord]:
        """Return the files of the generation by path in the collection, without manifests."""
        paths: dict[Path, FileRecord] = {}
        for segment in self.segments:
            folder = Path(SEGMENTS, segment.name)
            paths.update({folder / each.name: each for each in segment.files})
            if segment.deletions:
                paths[Path(DELETIONS, segment.deletions.file.name)] = segment.deletions.file
            paths.update({Path(UPDATES, each.file.name): each.file for each in segment.updates})
            if segment.ann_index:
                paths.update({folder / each.name: each for each in segment.ann_index.files})
        for index in (self.lexical, self.sparse):
            if index is not None:
                paths.update({Path(LEXICAL, index.name, each.name): each for each in index.files})
        return paths

    @property
    def size_bytes(self) -> int:
        """The size of the generation's files."""
        return sum(record.size_bytes for record in self.paths().values())


def encode_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as the bytes of its file."""
    body = {
        "format": FORMAT,
        "generation": manifest.generation,
        "created": manifest.created.isoformat(),
        "cause": manifest.cause,
        "settings": settings_to_json(manifest.settings),
        "schema": dict(manifest.schema),
        "segments": [segment_to_json(each) for each in manifest.segments],
        "lexical": _postings_to_json(manifest.lexical),
        "next_key": manifest.next_key,
        "unreadable_share": manifest.unreadable_share,
    }
    if manifest.background is not None:
        body["background"] = asdict(manifest.background)
    if manifest.sparse is not None:
        body["sparse"] = _postings_to_json(manifest.sparse)
    return seal(body)


def decode_manifest(data: bytes, path: Path) -> Manifest:
    """Decode a manifest.

    Raises CorruptCollection, NotACollection by its format, ShardedCollection for that of a sharded collection.
    """
    body = unseal(data, path)
    if "shards" in body:
        raise ShardedCollection(
            f"{path.parent}: is a sharded collection, and this operation takes collections without shards alone; "
            "docs/scale.md lists the operations on sharded collections"
        )
    _check_format(body.get("format"), path)
    try:
        return _manifest(body)
    except InputError as error:
        raise CorruptCollection(f"has settings that this Attendex cannot use: {error}", path=path) from error
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise CorruptCollection(f"not a manifest ({error!r}); {REPAIR}", path=path) from error


def _check_format(number: JsonValue, path: Path) -> None:
    if number == FORMAT:
        return
    if type(number) is not int:
        raise NotACollection(f"{path}: format is {number!r}, not a number; it is no manifest that Attendex wrote")
    if number > FORMAT:
        raise NotACollection(f"{path}: format {number} is newer than {FORMAT}, which this Attendex reads; upgrade it")
    raise NotACollection(
        f"{path}: format {number} is older than {FORMAT}, the oldest that this Attendex reads; "
        "index the documents again, or use the version that made the collection"
    )


def _manifest(body: JsonValue) -> Manifest:
    return Manifest(
        generation=int(body["generation"]),
        created=datetime.fromisoformat(body["created"]),
        cause=body["cause"],
        settings=settings_from_json(body["settings"]),
        schema={name: FieldType(kind) for name, kind in body["schema"].items()},
        segments=tuple(segment_from_json(each) for each in body["segments"]),
        lexical=_postings_from_json(body["lexical"]),
        next_key=int(body["next_key"]),
        unreadable_share=body["unreadable_share"],
        background=CosineBackground(**body["background"]) if "background" in body else None,
        sparse=_postings_from_json(body.get("sparse")),
    )


def read_manifest(collection: Path, generation: int | None = None) -> Manifest:
    """Read a manifest.  Raises NotACollection, CorruptCollection."""
    path = collection / MANIFEST if generation is None else generation_path(collection, generation)
    try:
        return decode_manifest(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        kept = kept_generations(collection)
        if generation is not None and (collection / MANIFEST).exists():
            numbers = ", ".join(map(str, kept))
            raise NotACollection(f"{collection}: generation {generation} is not kept (kept: {numbers})") from error
        if kept:
            raise CorruptCollection(
                f"is missing, but generation {kept[-1]} is kept; `attendex rollback` makes it current again", path=path
            ) from error
        raise NotACollection(f"{collection}: not a collection; make one with `attendex index`") from error
    except OSError as error:
        raise CorruptCollection(f"cannot be read ({error.strerror}); check its permissions", path=path) from error


def is_collection(path: Path) -> bool:
    """Check for the directories of a collection, which exist before its first commit."""
    return all((path / name).is_dir() for name in (GENERATIONS, SEGMENTS, DELETIONS))


def generation_path(collection: Path, generation: int) -> Path:
    """Return the path of a kept generation's manifest."""
    return collection / GENERATIONS / f"{generation:06d}.json"


def kept_generations(collection: Path) -> list[int]:
    """Return the numbers of the manifests in `generations/`, ascending.

    An interrupted commit leaves a manifest with a number above the current generation.
    """
    names = [path.name for path in (collection / GENERATIONS).glob("*.json")]
    return sorted(int(name[:-5]) for name in names if re.fullmatch(r"\d{6,}\.json", name))


def was_committed(collection: Path) -> bool:
    """Check whether a collection has a generation, even if `manifest.json` is lost.

    The files that a manifest in `generations/` names are durable before that manifest exists.
    """
    return (collection / MANIFEST).exists() or bool(kept_generations(collection))


_CHECKSUM, _END = b',\n "checksum": ', b"\n}\n"


def seal(body: dict[str, JsonValue]) -> bytes:
    """Return a JSON document that ends with a checksum over the rest of it."""
    data = json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"
    return data[: -len(_END)] + _checksum(data)


def unseal(data: bytes, path: Path, repair: str = REPAIR) -> dict[str, JsonValue]:
    """Return the body of a sealed document.

    Raises CorruptCollection, whose message ends with the advice `repair`.
    """
    body, found, _ = data.rpartition(_CHECKSUM)
    if not found:
        raise CorruptCollection(f"is damaged: not a sealed JSON document; {repair}", path=path)
    if data != body + _checksum(body + _END):
        raise CorruptCollection(f"is damaged: its checksum differs; {repair}", path=path)
    try:
        return json.loads(body + _END)  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise CorruptCollection(f"is damaged: not a JSON document ({error}); {repair}", path=path) from error


def _checksum(data: bytes) -> bytes:
    return _CHECKSUM + f'"{hashlib.sha256(data).hexdigest()}"'.encode() + _END


def segment_to_json(segment: SegmentRecord) -> JsonValue:
    """Return the record of a segment as JSON values."""
    deletions, ann_index = segment.deletions, segment.ann_index
    body: dict[str, JsonValue] = {
        "name": segment.name,
        "documents": segment.documents,
        "passages": segment.passages,
        "files": [_file_to_json(each) for each in segment.files],
        "deletions": deletions and {**asdict(deletions), "file": _file_to_json(deletions.file)},
        "structure": ann_index and _ann_index_to_json(ann_index),
    }
    if segment.updates:
        body["updates"] = [{"file": _file_to_json(each.file), "documents": each.documents} for each in segment.updates]
    return body


def _ann_index_to_json(record: AnnIndexRecord) -> JsonValue:
    body: dict[str, JsonValue] = {"file": _file_to_json(record.file), "facts": dict(record.facts)}
    return body if record.copies is None else body | {"copies": _file_to_json(record.copies)}


def _ann_index_from_json(body: JsonValue) -> AnnIndexRecord:
    copies = _file_from_json(body["copies"]) if "copies" in body else None
    return AnnIndexRecord(_file_from_json(body["file"]), body["facts"], copies)


def segment_from_json(body: JsonValue) -> SegmentRecord:
    """Return the record that `segment_to_json` encoded."""
    deletions, ann_index = body["deletions"], body["structure"]
    return SegmentRecord(
        name=_checked_name(body["name"]),
        documents=int(body["documents"]),
        passages=int(body["passages"]),
        files=tuple(_file_from_json(each) for each in body["files"]),
        deletions=deletions
        and DeletionsRecord(
            _file_from_json(deletions["file"]), int(deletions["documents"]), int(deletions["passages"])
        ),
        ann_index=ann_index and _ann_index_from_json(ann_index),
        updates=tuple(
            UpdatesRecord(_file_from_json(each["file"]), int(each["documents"])) for each in body.get("updates", ())
        ),
    )


def _postings_to_json(record: PostingsRecord | None) -> JsonValue:
    return record and {"name": record.name, "files": [_file_to_json(each) for each in record.files]}


def _postings_from_json(body: JsonValue) -> PostingsRecord | None:
    return body and PostingsRecord(_checked_name(body["name"]), tuple(_file_from_json(each) for each in body["files"]))


def _file_to_json(record: FileRecord) -> JsonValue:
    body: dict[str, JsonValue] = {"name": record.name, "size_bytes": record.size_bytes, "sha256": record.sha256}
    if record.blocks:
        body["blocks"] = base64.b64encode(b"".join(record.blocks)).decode()
    return body


def _file_from_json(body: JsonValue) -> FileRecord:
    joined = base64.b64decode(body.get("blocks", ""), validate=True)
    blocks = tuple(joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES))
    if int(body["size_bytes"]) < 0 or not re.fullmatch(r"[0-9a-f]{64}", body["sha256"]):
        raise ValueError(f"{body['size_bytes']} bytes with the SHA-256 {body['sha256']!r}")
    return FileRecord(_checked_name(body["name"]), int(body["size_bytes"]), body["sha256"], blocks)


def _checked_name(name: str) -> str:
    """Return a file name, unless it leads out of the collection (ValueError)."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is not the name of a file")
    return name
