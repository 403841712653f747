"""Files that may be compressed: opened by their first bytes, and stopped when they expand without end."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from indexer.readers.base.options import ReadLimits
from retrieval.errors import BadDocument

GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
XZ_MEMORY_BYTES = 128 << 20
BUFFER_BYTES = 1 << 20

# What the decompressors raise for damaged input.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class Endless(BadDocument):
    """Compressed data that expand beyond any sensible ratio."""


class Expanding(io.RawIOBase):
    """The decompressed bytes of `packed`; raises Endless once they outgrow what was read from it."""

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
            raise Endless(
                f"expands to more than {self._limits.expansion} times its size, as a decompression bomb does; "
                "unpack it yourself if it is what you mean to index"
            )
        return len(data)


@contextlib.contextmanager
def open_file(path: Path, limits: ReadLimits) -> Iterator[BinaryIO]:
    """The bytes of `path`, decompressed where it is gzip, bzip2 or xz."""
    with path.open("rb") as packed:
        yield expanded(packed, limits)


def expanded(packed: BinaryIO, limits: ReadLimits) -> BinaryIO:
    """`packed` itself, or a stream of its decompressed bytes where its first bytes say that it is compressed."""
    magic = packed.read(6)
    packed.seek(0)
    if magic.startswith(GZIP):
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=packed))
    elif magic.startswith(BZIP2):
        unpacked = cast(BinaryIO, bz2.BZ2File(packed))
    elif magic.startswith(XZ):
        unpacked = io.BufferedReader(_Xz(packed), BUFFER_BYTES)
    else:
        return packed
    return io.BufferedReader(Expanding(unpacked, packed, limits), BUFFER_BYTES)


def first_bytes(stream: BinaryIO, most: int) -> bytes:
    """The first bytes of `stream`, or the next, not taken away."""
    if isinstance(stream, io.BufferedReader) and not stream.seekable():
        return stream.peek(most)[:most]
    start = stream.tell()
    found = stream.read(most)
    stream.seek(start)
    return found


def read_whole(stream: BinaryIO, limits: ReadLimits) -> bytes:
    """All of `stream`; raises BadDocument for more than a file may have."""
    data = bytearray()
    while part := stream.read(BUFFER_BYTES):  # asked for all at once, a buffer of the limit's size would be made first
        data += part
        if len(data) > limits.file_bytes:
            raise BadDocument(f"the file is larger than {limits.file_bytes:,} bytes")
    return bytes(data)


class _Xz(io.RawIOBase):
    """xz with a ceiling on the decoder's memory, which lzma.LZMAFile does not offer; streams may follow each other."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._fresh = b""  # read, and not yet given to the decoder
        self._decoder = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            while not self._decoder.eof or self._next_stream():
                fresh, self._fresh = self._fresh, b""
                if self._decoder.needs_input and not (fresh := fresh or self._packed.read(BUFFER_BYTES)):
                    raise EOFError("the compressed data end too early")
                if data := self._decoder.decompress(fresh, len(view)):
                    view[: len(data)] = data
                    return len(data)
        return 0

    def _next_stream(self) -> bool:
        """Go on to the stream after this one, past the zeros that may lie between; False where there is none."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            if not (data := self._packed.read(BUFFER_BYTES)):
                return False
            rest = data.lstrip(b"\0")
        self._fresh = rest
        self._decoder = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)
        return True
