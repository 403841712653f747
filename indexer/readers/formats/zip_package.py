"""Zip archives and the office files that are made of them, with a bound on what they may expand to."""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from xml.etree import ElementTree

from indexer.readers.base.options import ReadLimits
from retrieval.errors import BadDocument

ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError, OSError, KeyError)


def open_zip(data: bytes, limits: ReadLimits) -> zipfile.ZipFile:
    """The archive; raises BadDocument for one that is damaged, endless, or expands beyond all sense.

    The sizes that the archive declares are binding: reading a member never gives more.  Deflate never unpacks more
    either; bzip2 and LZMA unpack a block whole before it is cut, within the memory of a parser's process.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except DAMAGE as error:
        raise BadDocument(f"damaged: {error}") from error
    members = archive.infolist()
    if len(members) > limits.members:
        raise BadDocument(f"holds {len(members):,} members, more than {limits.members:,}")
    total = sum(each.file_size for each in members)
    if total > max(limits.free_expansion_bytes, limits.expansion * len(data)) or total > limits.file_bytes:
        raise BadDocument(
            f"would expand from {len(data):,} to {total:,} bytes, as a decompression bomb does; "
            "unpack it yourself if it is what you mean to index"
        )
    return archive


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """One part of an office file; raises BadDocument where it is missing or damaged."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise BadDocument(f"damaged: there is no part {name}") from error
    except RuntimeError as error:
        raise BadDocument("is protected by a password; save it without one") from error
    except DAMAGE as error:
        raise BadDocument(f"damaged: part {name}: {error}") from error


def parse_xml(data: bytes) -> ElementTree.Element:
    """The root element; raises BadDocument for XML that is broken or declares entities, which no office file does."""
    if ENTITY.search(data):
        raise BadDocument("declares XML entities, which office files do not; refused")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise BadDocument(f"damaged XML: {error}") from error


def xml_part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """The root element of a part, None where there is no such part."""
    return parse_xml(read_part(archive, name)) if name in archive.NameToInfo else None


def local(element: ElementTree.Element) -> str:
    """The element's name without its namespace; "" for a comment."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def attribute(element: ElementTree.Element, name: str) -> str:
    """An attribute by its name without namespace; "" for none."""
    for key, value in element.attrib.items():
        if key.rsplit("}", 1)[-1] == name:
            return value
    return ""


def core_properties(archive: zipfile.ZipFile) -> dict[str, str]:
    """What an Office file says about itself: title, author, created, modified, language, keywords."""
    root = xml_part(archive, "docProps/core.xml")
    wanted = {
        "title": "title",
        "creator": "author",
        "created": "created",
        "modified": "changed",
        "language": "language",
    }
    wanted["keywords"] = "keywords"
    found: dict[str, str] = {}
    for each in root if root is not None else ():
        if (name := wanted.get(local(each))) and each.text and each.text.strip():
            found[name] = each.text.strip()
    return found


def targets(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Relations of a part: id → the part that it names, as a full name within the archive."""
    folder, _, name = part.rpartition("/")
    root = xml_part(archive, f"{folder}/_rels/{name}.rels")
    found = {}
    for each in root if root is not None else ():
        if each.get("TargetMode") != "External":
            found[each.get("Id", "")] = resolved(folder, each.get("Target", ""))
    return found


def resolved(folder: str, target: str) -> str:
    """`target` as written in `folder`, as a full name within the archive."""
    parts = [] if target.startswith("/") else folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in ("", "."):
            parts.append(step)
    return "/".join(parts)
