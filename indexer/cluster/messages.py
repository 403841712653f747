"""Messages between processes: MessagePack bytes, without pickle.

Ray passes bytes on as they are.  A message holds plain values, arrays, paths, and records of the classes in `RECORDS`;
decoding makes no object of another class.
"""

from __future__ import annotations

import io
import os
from dataclasses import MISSING, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from indexer.readers.base.options import ReadLimits, ReadOptions, WebOptions
from indexer.readers.base.outcomes import DocumentOrigin, FileOutcome, FileStatus
from indexer.sources.source import FoundFile
from indexer.writing.garbage import Retention
from indexer.writing.pending_generation import SegmentLimits, WriterCounts
from retrieval import errors
from retrieval.bm25_options import Bm25Options
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.index.collection.shards import ShardAction, ShardAnswer, ShardRequest, WeightedTerms
from retrieval.index.storage.settings import CollectionSettings, settings_from_json, settings_to_json
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.types import Document, EncoderFingerprint, FieldType, Passage, Section

RECORDS = (  # a message names a class by its position
    Document,
    Section,
    Passage,
    TokenCodes,
    TokenBatch,
    EncoderFingerprint,
    DocumentOrigin,
    FoundFile,
    FileOutcome,
    ReadOptions,
    ReadLimits,
    WebOptions,
    SegmentLimits,
    WriterCounts,
    Retention,
    ShardRequest,
    ShardAnswer,
    WeightedTerms,
    Bm25Options,
)
ENUMS = (FieldType, FileStatus, ShardAction)
RECORD, ENUM, TUPLE, ARRAY, PATH, TIME, ERROR, SETTINGS, BIG, BITMAP = range(10)  # codes of extension types
SURROGATES = "surrogatepass"  # names of files may hold half a pair


def encode(value: Any) -> bytes:
    """Return a value as a message.  Raises TypeError for a value of another class."""
    return msgpack.packb(value, default=_packed, strict_types=True, unicode_errors=SURROGATES)  # type: ignore[no-any-return]


def decode(message: bytes) -> Any:
    """Return the value of a message.  Raises ValueError."""
    return msgpack.unpackb(
        message, ext_hook=_unpacked, unicode_errors=SURROGATES, strict_map_key=False, max_ext_len=len(message)
    )


def _packed(value: Any) -> msgpack.ExtType | str:
    if type(value) in RECORDS:
        given = {each.name: getattr(value, each.name) for each in fields(value) if not _is_default(value, each)}
        return msgpack.ExtType(RECORD, encode([RECORDS.index(type(value)), given]))
    if type(value) in ENUMS:
        return msgpack.ExtType(ENUM, encode([ENUMS.index(type(value)), value.value]))
    if isinstance(value, str):  # of another enumeration
        return str(value)
    if isinstance(value, tuple):
        return msgpack.ExtType(TUPLE, encode(list(value)))
    if isinstance(value, np.ndarray) and value.dtype == np.bool_ and value.ndim == 1:
        return msgpack.ExtType(BITMAP, encode([len(value), np.packbits(value).tobytes()]))
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return msgpack.ExtType(ARRAY, file.getvalue())
    if isinstance(value, Path):
        return msgpack.ExtType(PATH, os.fsencode(value))
    if isinstance(value, datetime):
        return msgpack.ExtType(TIME, value.isoformat().encode())
    if isinstance(value, errors.AttendexError):
        return msgpack.ExtType(ERROR, encode([type(value).__name__, str(value), vars(value)]))
    if isinstance(value, CollectionSettings):
        return msgpack.ExtType(SETTINGS, encode(settings_to_json(value)))
    if isinstance(value, int):  # beyond 64 bits
        return msgpack.ExtType(BIG, str(value).encode())
    if isinstance(value, np.generic):
        return _packed(np.asarray(value))
    raise TypeError(f"a message cannot hold a {type(value).__name__}")


def _is_default(record: Any, field: Any) -> bool:
    return field.default is not MISSING and getattr(record, field.name) is field.default


def _unpacked(code: int, data: bytes) -> Any:
    if code == RECORD:
        number, given = decode(data)
        return RECORDS[number](**given)
    if code == ENUM:
        number, value = decode(data)
        return ENUMS[number](value)
    if code == TUPLE:
        return tuple(decode(data))
    if code == ARRAY:
        return np.load(io.BytesIO(data), allow_pickle=False)
    if code == PATH:
        return Path(os.fsdecode(data))
    if code == TIME:
        return datetime.fromisoformat(data.decode())
    if code == ERROR:
        return _error(*decode(data))
    if code == SETTINGS:
        return settings_from_json(decode(data))
    if code == BIG:
        return int(data)
    if code == BITMAP:
        length, packed = decode(data)
        if not 0 <= length <= 8 * len(packed):
            raise ValueError(f"a message has {len(packed)} bytes for {length} bits")
        return np.unpackbits(np.frombuffer(packed, np.uint8), count=length).view(np.bool_)
    raise ValueError(f"a message has an unknown part {code}")


def _error(name: str, message: str, values: dict[str, Any]) -> errors.AttendexError:
    """Return an error of `retrieval.errors` with its message and its fields."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.AttendexError)):
        kind = errors.AttendexError
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    vars(error).update({key: value for key, value in values.items() if not key.startswith("__")})
    return error
