"""Zip archives and the XML parts of office files, with a bound on their expansion."""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

from indexer.readers.base.options import ReadLimits
from indexer.readers.text.titles import usable_author, usable_title
from retrieval.errors import BadDocument

CORE_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "created": "created",
    "modified": "changed",
    "language": "language",
    "keywords": "keywords",
}
USABLE = {"title": usable_title, "author": usable_author}
ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    OSError,
    KeyError,
)


def open_zip(data: bytes, limits: ReadLimits) -> zipfile.ZipFile:
    """Open an archive; raise BadDocument if it is damaged or too large.

    The declared sizes are binding: reading a member never returns more bytes, and deflate never decompresses more.
    bzip2 and LZMA decompress a whole block before it is cut, within the memory limit of a parser process.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except ZIP_DAMAGE as error:
        raise BadDocument(f"damaged: {error}") from error
    members = archive.infolist()
    if len(members) > limits.members:
        raise BadDocument(f"holds {len(members):,} members, more than {limits.members:,}")
    total = sum(member.file_size for member in members)
    if total > max(limits.free_expansion_bytes, limits.expansion * len(data)) or total > limits.file_bytes:
        raise BadDocument(
            f"would expand from {len(data):,} to {total:,} bytes, as a decompression bomb does; "
            "unpack it yourself if you mean to index it"
        )
    return archive


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a part of an office file. Raises BadDocument if it is missing or damaged."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise BadDocument(f"damaged: there is no part {name}") from error
    except RuntimeError as error:
        raise BadDocument("is protected by a password; save it without one") from error
    except ZIP_DAMAGE as error:
        raise BadDocument(f"damaged: part {name}: {error}") from error


def parse_xml(data: bytes) -> ElementTree.Element:
    """Return the root element; raise BadDocument for damaged XML or entities."""
    if ENTITY.search(data):
        raise BadDocument("declares XML entities, which office files do not; refused")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise BadDocument(f"damaged XML: {error}") from error


def xml_part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """Return the root element of a part; None if the archive has no such part."""
    return parse_xml(read_part(archive, name)) if name in archive.NameToInfo else None


def local(element: ElementTree.Element) -> str:
    """Return the element's name without its namespace; "" for a comment."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def children(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the children; of `mc:AlternateContent`, the first branch with text."""
    for child in element:
        if local(child) != "AlternateContent":
            yield child
        elif branches := list(child):
            chosen = next(
                (branch for branch in branches if any(local(part) == "t" for part in branch.iter())), branches[0]
            )
            yield from children(chosen)


def unescape(text: str) -> str:
    """Return `text` of an office file with its escaped characters (`_x000D_`)."""
    return ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text) if "_x" in text else text


def attribute(element: ElementTree.Element, name: str) -> str:
    """Return an attribute by its name without namespace; "" if it is missing."""
    for key, value in element.attrib.items():
        if key.rsplit("}", 1)[-1] == name:
            return value
    return ""


def core_properties(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return title, author, created, changed, language and keywords of an Office file."""
    root = xml_part(archive, "docProps/core.xml")
    found: dict[str, str] = {}
    for element in root if root is not None else ():
        name = CORE_PROPERTIES.get(local(element))
        if name and (text := USABLE.get(name, str.strip)(element.text or "")):
            found[name] = text
    return found


def targets(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Return the relations of a part: id → full name of the target part."""
    folder, _, name = part.rpartition("/")
    root = xml_part(archive, f"{folder}/_rels/{name}.rels")
    found = {}
    for relation in root if root is not None else ():
        if relation.get("TargetMode") != "External":
            found[relation.get("Id", "")] = resolved(folder, relation.get("Target", ""))
    return found


def main_part(archive: zipfile.ZipFile, usual: str) -> str:
    """Return the main part of an Office file, which the relations of the package name; else `usual`."""
    root = xml_part(archive, "_rels/.rels")
    for relation in root if root is not None else ():
        if relation.get("Type", "").endswith("/officeDocument"):
            named = resolved("", relation.get("Target", ""))
            return named if named in archive.namelist() else usual
    return usual


def resolved(folder: str, target: str) -> str:
    """Return the full name of `target`, which is relative to `folder`."""
    parts = [] if target.startswith("/") else folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in ("", "."):
            parts.append(step)
    return "/".join(parts)
