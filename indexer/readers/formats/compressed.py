"""Compressed files (gzip, bzip2, xz, Zstandard), decompressed in bounds."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from indexer.readers.base.options import ReadLimits
from retrieval.errors import BadDocument

XZ_MEMORY_BYTES = 128 << 20
BUFFER_BYTES = 1 << 20
MAGIC_BYTES = 10

# The decompressors raise these exceptions for damaged input.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class DecompressionBomb(BadDocument):
    """Compressed data that expand beyond the allowed ratio."""


class BoundedStream(io.RawIOBase):
    """The decompressed bytes of `packed`; too many raise DecompressionBomb."""

    def __init__(self, unpacked: BinaryIO, packed: BinaryIO, limits: ReadLimits) -> None:
        self._unpacked = unpacked
        self._packed = packed
        self._limits = limits
        self._out_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            data = self._unpacked.read(len(view))
            view[: len(data)] = data
        self._out_bytes += len(data)
        allowed = max(self._limits.free_expansion_bytes, self._limits.expansion * self._packed.tell())
        if self._out_bytes > allowed:
            raise DecompressionBomb(
                f"expands to more than {self._limits.expansion} times its size, as a decompression bomb does; "
                "unpack it yourself if you mean to index it"
            )
        return len(data)


class XzStream(io.RawIOBase):
    """The decompressed bytes of xz streams, with a bound on the decoder's memory.

    lzma.LZMAFile has no such bound.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._pending = b""  # read from `packed` and not yet given to the decoder
        self._decoder = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            while not self._decoder.eof or self._next_stream():
                pending, self._pending = self._pending, b""
                if self._decoder.needs_input and not (pending := pending or self._packed.read(BUFFER_BYTES)):
                    raise EOFError("the compressed data end too early")
                if data := self._decoder.decompress(pending, len(view)):
                    view[: len(data)] = data
                    return len(data)
        return 0

    def _next_stream(self) -> bool:
        """Go to the next stream, past zeros; return False if there is none."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            if not (data := self._packed.read(BUFFER_BYTES)):
                return False
            rest = data.lstrip(b"\0")
        self._pending = rest
        self._decoder = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)
        return True


class ZstandardStream(io.RawIOBase):
    """The decompressed bytes of Zstandard frames; damage raises EOFError."""

    def __init__(self, packed: BinaryIO) -> None:
        import pyarrow as pa  # it takes time to import, and few files need it

        self._unpacked = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            try:
                data = self._unpacked.read(len(view))
            except (OSError, ValueError) as error:
                raise EOFError(f"the Zstandard data are damaged or end too early: {error}") from error
            view[: len(data)] = data
        return len(data)


def _open_gzip(packed: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=packed))


def _open_bzip2(packed: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.BZ2File(packed))


def _open_xz(packed: BinaryIO) -> BinaryIO:
    return io.BufferedReader(XzStream(packed), BUFFER_BYTES)


def _open_zstandard(packed: BinaryIO) -> BinaryIO:
    return io.BufferedReader(ZstandardStream(packed), BUFFER_BYTES)


# Suffix of a compression: its first bytes, and the function that opens it.
COMPRESSIONS: dict[str, tuple[re.Pattern[bytes], Callable[[BinaryIO], BinaryIO]]] = {
    ".gz": (re.compile(rb"\x1f\x8b"), _open_gzip),
    ".bz2": (re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"), _open_bzip2),  # a block, or the end
    ".xz": (re.compile(rb"\xfd7zXZ\x00"), _open_xz),
    ".zst": (re.compile(rb"\x28\xb5\x2f\xfd"), _open_zstandard),
}


def uncompressed_name(name: PurePosixPath) -> PurePosixPath:
    """Return `name` without the suffix of a compression."""
    return name.with_suffix("") if name.suffix.lower() in COMPRESSIONS else name


@contextlib.contextmanager
def open_file(path: Path, limits: ReadLimits) -> Iterator[BinaryIO]:
    """Open the bytes of `path`, decompressed if they are compressed."""
    with path.open("rb") as packed:
        yield expanded(packed, limits)


def expanded(packed: BinaryIO, limits: ReadLimits) -> BinaryIO:
    """Return a stream of the decompressed bytes, or `packed` if it has none."""
    head = packed.read(MAGIC_BYTES)
    packed.seek(0)
    for magic, open_stream in COMPRESSIONS.values():
        if magic.match(head):
            return io.BufferedReader(BoundedStream(open_stream(packed), packed, limits), BUFFER_BYTES)
    return packed


def first_bytes(stream: BinaryIO, max_bytes: int) -> bytes:
    """Return the next bytes of `stream` without consuming them."""
    if isinstance(stream, io.BufferedReader) and not stream.seekable():
        return stream.peek(max_bytes)[:max_bytes]
    start = stream.tell()
    found = stream.read(max_bytes)
    stream.seek(start)
    return found


def read_whole(stream: BinaryIO, limits: ReadLimits) -> bytes:
    """Read all bytes; raise BadDocument if they exceed the limit of a file."""
    data = bytearray()
    while part := stream.read(BUFFER_BYTES):  # one large read would allocate a buffer as large as the limit
        data += part
        if len(data) > limits.file_bytes:
            raise BadDocument(f"the file is larger than {limits.file_bytes:,} bytes")
    return bytes(data)
