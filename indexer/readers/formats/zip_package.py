"""Zip archives and the XML parts of office files, with a bound on their expansion."""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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
ALTERNATIVES = "AlternateContent"
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
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise BadDocument(f"damaged XML: {error}") from error
    if ALTERNATIVES.encode() in data:
        _choose_branches(root)
    return root


def _choose_branches(root: ElementTree.Element) -> None:
    """Keep of alternatives the first branch with text, else the first branch."""
    parents = {child: parent for parent in root.iter() for child in parent}
    with_text: set[ElementTree.Element] = set()
    for element in root.iter():
        above = element if local(element) == "t" else None
        while above is not None and above not in with_text:
            with_text.add(above)
            above = parents.get(above)
    for element in (each for each in root.iter() if local(each) == ALTERNATIVES):
        branches = list(element)
        element[:] = [branch for branch in branches if branch in with_text][:1] or branches[:1]


def xml_part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """Return the root element of a part; None if the archive has no such part."""
    return parse_xml(read_part(archive, name)) if name in archive.NameToInfo else None


def local(element: ElementTree.Element) -> str:
    """Return the element's name without its namespace; "" for a comment."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def children(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the children; of `mc:AlternateContent`, those of the chosen branch."""
    for child in element:
        if local(child) != ALTERNATIVES:
            yield child
        else:
            for branch in child:
                yield from children(branch)


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


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation to another part: its id, the last word of its type, its target."""

    identifier: str
    kind: str
    target: str


def relations(archive: zipfile.ZipFile, part: str) -> Iterator[Relation]:
    """Yield the relations of a part inside the archive; for "", of the package."""
    folder, _, name = part.rpartition("/")
    root = xml_part(archive, "/".join(filter(None, (folder, "_rels", f"{name}.rels"))))
    for each in root if root is not None else ():
        if each.get("TargetMode") != "External":
            kind = each.get("Type", "").rpartition("/")[2]
            yield Relation(each.get("Id", ""), kind, resolved(folder, each.get("Target", "")))


def targets(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Return the relations of a part: id → full name of the target part."""
    return {each.identifier: each.target for each in relations(archive, part)}


def related_part(archive: zipfile.ZipFile, part: str, kind: str, usual: str) -> str:
    """Return the part to which `part` has a relation of this kind; else `usual`."""
    found = (each.target for each in relations(archive, part) if each.kind == kind)
    return next((name for name in found if name in archive.NameToInfo), usual)


def main_part(archive: zipfile.ZipFile, usual: str) -> str:
    """Return the name of the main part of an Office file; else `usual`."""
    return related_part(archive, "", "officeDocument", usual)


def resolved(folder: str, target: str) -> str:
    """Return the full name of `target`, which is relative to `folder`."""
    parts = [] if target.startswith("/") else folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in ("", "."):
            parts.append(step)
    return "/".join(parts)
