"""Archives (zip, tar): read each member like a file, within limits."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import DAMAGE, read_whole
from indexer.readers.formats.detect import SkippedFile
from indexer.readers.formats.dispatch import guarded, read_stream, utc_date, with_file_metadata
from indexer.readers.formats.zip_package import ZIP_DAMAGE, open_zip
from indexer.readers.text.member_names import member_names
from retrieval.errors import BadDocument
from retrieval.types import Document

ENCRYPTED_FLAG = 1
UTF8_FLAG = 0x800  # the name of the member is UTF-8
UNICODE_PATH = 0x7075  # an extra field with the checksum of the raw name, then the name in UTF-8
EXTRA_HEADER = struct.Struct("<HH")  # kind and size


def read_zip(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of all members, in the archive's order."""
    _check_depth(origin, options.limits)
    with open_zip(read_whole(stream, options.limits), options.limits) as archive:
        members = archive.infolist()
        for member, name in zip(members, member_names([_raw_name(member) for member in members]), strict=True):
            if member.is_dir() or not _is_wanted(name, origin, options):
                continue
            yield from guarded(_read_zip_member(archive, member, origin.member(name), options), origin.member(name))


def _read_zip_member(
    archive: ZipFile, member: ZipInfo, origin: DocumentOrigin, options: ReadOptions
) -> Iterator[ReadItem]:
    data = _member_bytes(archive, member, options.password)
    yield from _read_member(io.BytesIO(data), origin, options, _modified(member))


def _raw_name(member: ZipInfo) -> bytes:
    """Return the bytes of a name; a field of Info-ZIP holds the name in UTF-8."""
    if member.flag_bits & UTF8_FLAG:
        return member.filename.encode("utf-8", "surrogatepass")
    raw = member.filename.encode("cp437", "replace")
    extra = member.extra
    while len(extra) >= EXTRA_HEADER.size:
        kind, size = EXTRA_HEADER.unpack_from(extra)
        field = extra[EXTRA_HEADER.size :][:size]
        if kind == UNICODE_PATH and field[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return field[5:]
        extra = extra[EXTRA_HEADER.size + size :]
    return raw


def read_tar(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of all regular files, in the archive's order."""
    _check_depth(origin, options.limits)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, member in enumerate(archive):
                if number >= options.limits.members:
                    yield BadDocument(f"holds more than {options.limits.members:,} members", path=origin.path)
                    return
                yield from _read_tar_member(archive, member, origin, options)
    except (tarfile.TarError, *DAMAGE) as error:
        yield BadDocument(f"damaged archive: {error}", path=origin.path)


def _read_tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, origin: DocumentOrigin, options: ReadOptions
) -> Iterator[ReadItem]:
    [name] = member_names([member.name.encode("utf-8", "surrogateescape")])
    if not member.isreg() or not _is_wanted(name, origin, options):
        return
    origin = origin.member(name)
    if member.size > options.limits.file_bytes:
        yield BadDocument(f"the file is larger than {options.limits.file_bytes:,} bytes", path=origin.path)
        return
    file = archive.extractfile(member)
    if file is not None:
        yield from read_member(io.BytesIO(file.read()), origin, options, utc_date(member.mtime))


def read_member(
    stream: io.BytesIO, origin: DocumentOrigin, options: ReadOptions, modified: str = ""
) -> Iterator[ReadItem]:
    """Yield the documents of one member or attachment.

    A member of a format without a reader gives no document and is reported. A damaged member gives one error.
    """
    return guarded(_read_member(stream, origin, options, modified), origin)


def _read_member(stream: io.BytesIO, origin: DocumentOrigin, options: ReadOptions, modified: str) -> Iterator[ReadItem]:
    size_bytes = len(stream.getbuffer())
    try:
        file = read_stream(stream, origin, replace(options, format="", tables_as_text=True))
        for item in file.items:
            if isinstance(item, Document) and (not file.format.has_own_metadata or item.id == origin.name):
                item = with_file_metadata(item, origin, file.format.name, size_bytes, modified)
            yield item
    except SkippedFile as skipped:
        options.report_unread(origin, str(skipped))


def _check_depth(origin: DocumentOrigin, limits: ReadLimits) -> None:
    if origin.depth >= limits.depth:
        raise BadDocument(f"archives are nested more than {limits.depth} deep", path=origin.path)


def _is_wanted(name: str, origin: DocumentOrigin, options: ReadOptions) -> bool:
    """Check that a member is not hidden and its name stays inside the archive."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/"):
        options.report_unread(origin.member(name), "its name leads out of the archive")
        return False
    if "__MACOSX" in parts:
        return False
    return options.hidden or not any(part.startswith(".") and part != "." for part in parts)


def _member_bytes(archive: ZipFile, member: ZipInfo, password: str) -> bytes:
    if member.flag_bits & ENCRYPTED_FLAG and not password:
        raise BadDocument("is protected by a password; give it with --password")
    try:
        return archive.read(member, pwd=password.encode() or None)
    except (RuntimeError, *ZIP_DAMAGE) as error:
        raise BadDocument(f"damaged or protected: {error}") from error


def _modified(member: ZipInfo) -> str:
    """Return the member's date in ISO 8601; "" if it is invalid."""
    year, month, day, hour, minute, second = member.date_time
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).isoformat()
    except ValueError:
        return ""
