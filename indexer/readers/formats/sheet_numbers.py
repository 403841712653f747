"""Numbers of XLSX cells as they are shown, and errors of formulas.

The parser of the cells gives values without their formats. This module reads the formats, for cells whose format adds
a unit, a percent sign or zeros in front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zipfile import ZipFile

from indexer.readers.formats.zip_package import (
    attribute,
    main_part,
    read_part,
    related_part,
    targets,
    xml_part,
)

WORKBOOK = "xl/workbook.xml"
PERCENT_FORMATS = {"9": "0%", "10": "0.00%"}  # built-in formats with a sign
CELL = re.compile(
    rb"<(?:\w{1,20}:)?c\s([^<>]*)>(?:\s*<(?:\w{1,20}:)?f[^<>]*(?:/>|>[^<]*</[^<>]*>))?\s*<(?:\w{1,20}:)?v>([^<]*)<"
)
REFERENCE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
STYLE = re.compile(rb'\bs="(\d{1,5})"')
IS_ERROR = re.compile(rb'\bt="e"')
MASK = re.compile(r'(?:\\?[+(])?0+(?:(?:[-/() ]|\\[-/() ]|"[-/() ]"){1,3}0+)++')
TOKEN = re.compile(
    r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|_.|\*.|([0#?][0#?.,/]*(?:[Ee][+-]0+)?)|([;%$€£¥+()-])|.'
)


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Text around a number, its factor, and the least number of its whole digits."""

    before: str = ""
    after: str = ""
    factor: float = 1.0
    min_digits: int = 1
    mask: str = ""  # of whole digits with signs between them, such as 000-0000

    @property
    def is_plain(self) -> bool:
        """True if the format adds nothing to the number."""
        return self == NumberFormat()

    def show(self, value: float) -> str:
        """Return the number with up to 15 digits, as the format shows it."""
        digits = plain_number(value * self.factor)
        whole, point, rest = digits.removeprefix("-").partition(".")
        sign = "-" if digits.startswith("-") else ""
        if self.mask and not point:
            return sign + _masked(whole, self.mask)
        return f"{sign}{self.before}{whole.zfill(self.min_digits)}{point}{rest}{self.after}".strip()


def _masked(digits: str, mask: str) -> str:
    """Return digits at the places of a mask; the first place takes the rest."""
    parts: list[str] = []
    places = mask.count("0")
    digits = digits.zfill(places)
    for sign in reversed(mask):
        if sign != "0":
            parts.append(sign)
            continue
        places -= 1
        parts.append(digits[-1] if places else digits)
        digits = digits[:-1]
    return "".join(reversed(parts))


def plain_number(value: float) -> str:
    """Return a number with the 15 digits that spreadsheet programs keep."""
    return f"{value:.15g}" if abs(value) < 1e15 else repr(value)


def parse_number_format(code: str) -> NumberFormat:
    """Return the format of positive numbers in a format code, such as `0.0" kg"`."""
    before, after, digits = "", "", ""
    if MASK.fullmatch(code):
        return NumberFormat(mask=code.replace("\\", "").replace('"', ""))
    for match in TOKEN.finditer(code):
        quoted, escaped, currency, number, sign = match.groups()
        if sign == ";":
            break
        literal = quoted or escaped or currency or sign or (" " if match.group() == " " else "")
        if number and not digits:
            digits = number
        elif digits:
            after += literal
        else:
            before += literal
    if not digits or "/" in digits or "E" in digits.upper():
        return NumberFormat()
    factor = 100.0 if "%" in before + after else 1.0
    return NumberFormat(before, after.rstrip(), factor, max(1, digits.partition(".")[0].count("0")))


def shown_cells(archive: ZipFile, sheet_name: str) -> dict[tuple[int, int], NumberFormat | str]:
    """Return formats and errors of cells, by row and column from 0."""
    part = _sheet_parts(archive).get(sheet_name, "")
    if part not in archive.NameToInfo:
        return {}
    formats = _formats(archive)
    found: dict[tuple[int, int], NumberFormat | str] = {}
    for match in CELL.finditer(read_part(archive, part)):
        attributes, value = match.groups()
        style = STYLE.search(attributes)
        number = formats.get(int(style.group(1))) if style else None
        shown = value.decode("utf-8", "replace") if IS_ERROR.search(attributes) else number
        if shown is not None and (place := REFERENCE.search(attributes)):
            found[int(place.group(2)) - 1, _column(place.group(1))] = shown
    return found


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number - 1


def _sheet_parts(archive: ZipFile) -> Mapping[str, str]:
    """Return the part of each sheet by its name."""
    main = main_part(archive, WORKBOOK)
    root, parts = xml_part(archive, main), targets(archive, main)
    sheets = root.iterfind("./{*}sheets/{*}sheet") if root is not None else ()
    return {sheet.get("name", ""): parts.get(attribute(sheet, "id"), "") for sheet in sheets}


def _formats(archive: ZipFile) -> dict[int, NumberFormat]:
    """Return the number formats that are not plain, by the number of the cell style."""
    root = xml_part(archive, related_part(archive, main_part(archive, WORKBOOK), "styles", "xl/styles.xml"))
    if root is None:
        return {}
    own = root.iterfind("./{*}numFmts/{*}numFmt")
    codes = PERCENT_FORMATS | {each.get("numFmtId", ""): each.get("formatCode", "") for each in own}
    styles = enumerate(root.iterfind("./{*}cellXfs/{*}xf"))
    formats = {number: parse_number_format(codes.get(style.get("numFmtId", ""), "")) for number, style in styles}
    return {number: found for number, found in formats.items() if not found.is_plain}
