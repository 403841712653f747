"""Archives (zip, tar): every member as if it were a file, within the archive's own limits."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import DAMAGE, read_whole
from indexer.readers.formats.dispatch import OWN_METADATA, SkippedFile, guarded, read_stream
from indexer.readers.formats.zip_package import DAMAGE as ZIP_DAMAGE
from indexer.readers.formats.zip_package import open_zip
from indexer.readers.text.dates import utc_date
from retrieval.errors import BadDocument
from retrieval.types import Document, MetadataValue


def read_zip(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Documents of every member, in the archive's order."""
    _check_depth(origin, options.limits)
    with open_zip(read_whole(stream, options.limits), options.limits) as archive:
        for member in archive.infolist():
            name = member.filename
            if member.is_dir() or not _is_wanted(name, options):
                continue
            yield from guarded(_zip_member(archive, member, origin.member(name), options), origin.member(name))


def _zip_member(archive: ZipFile, member: ZipInfo, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    data = _member_bytes(archive, member, options.password)
    yield from _member(io.BytesIO(data), origin, options, _modified(member))


def read_tar(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Documents of every regular file, in the archive's order; links and devices are left out."""
    _check_depth(origin, options.limits)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, member in enumerate(archive):
                if number >= options.limits.members:
                    yield BadDocument(f"holds more than {options.limits.members:,} members", path=origin.path)
                    return
                yield from _tar_member(archive, member, origin, options)
    except (tarfile.TarError, *DAMAGE) as error:
        yield BadDocument(f"damaged archive: {error}", path=origin.path)


def _tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, origin: DocumentOrigin, options: ReadOptions
) -> Iterator[ReadItem]:
    if not member.isreg() or not _is_wanted(member.name, options):
        return
    if member.size > options.limits.file_bytes:
        yield BadDocument(
            f"the file is larger than {options.limits.file_bytes:,} bytes", path=origin.member(member.name).path
        )
        return
    file = archive.extractfile(member)
    if file is not None:
        yield from read_member(io.BytesIO(file.read()), origin.member(member.name), options, utc_date(member.mtime))


def read_member(
    stream: io.BytesIO, origin: DocumentOrigin, options: ReadOptions, modified: str = ""
) -> Iterator[ReadItem]:
    """Documents of one member or attachment; one of a kind that is not read gives none, a broken one ends alone."""
    return guarded(_member(stream, origin, options, modified), origin)


def _member(stream: io.BytesIO, origin: DocumentOrigin, options: ReadOptions, modified: str) -> Iterator[ReadItem]:
    size = float(len(stream.getbuffer()))
    try:
        file = read_stream(stream, origin, replace(options, format="", tables_as_text=True))
        for item in file.items:
            is_record = file.format in OWN_METADATA and isinstance(item, Document) and item.id != origin.name
            if isinstance(item, Document) and not is_record:
                about: dict[str, MetadataValue] = {"path": origin.name, "bytes": size, "format": file.format}
                if modified:
                    about["modified"] = modified
                item = replace(item, metadata={**about, **item.metadata})
            yield item
    except SkippedFile:
        return


def _check_depth(origin: DocumentOrigin, limits: ReadLimits) -> None:
    if origin.depth >= limits.depth:
        raise BadDocument(f"archives are nested more than {limits.depth} deep", path=origin.path)


def _is_wanted(name: str, options: ReadOptions) -> bool:
    """Hidden members follow the rule for hidden files; names that climb out are no names."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/") or "__MACOSX" in parts:
        return False
    return options.hidden or not any(part.startswith(".") and part != "." for part in parts)


def _member_bytes(archive: ZipFile, member: ZipInfo, password: str) -> bytes:
    if member.flag_bits & 1 and not password:
        raise BadDocument("is protected by a password; give it with --password")
    try:
        return archive.read(member, pwd=password.encode() or None)
    except (RuntimeError, *ZIP_DAMAGE) as error:
        raise BadDocument(f"damaged or protected: {error}") from error


def _modified(member: ZipInfo) -> str:
    """The member's date, which may be none at all."""
    year, month, day, hour, minute, second = member.date_time
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).isoformat()
    except ValueError:
        return ""
