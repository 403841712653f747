"""Markup within lines of documentation: components, short codes, roles.

Tags go, and their text stays: that between them, and titles and labels in their attributes.  Code spans stay as they
are.
"""

from __future__ import annotations

import re

MAX_TAG = 2_000  # characters of a tag
CODE = r"(?P<code>(?<!`)(?P<ticks>`{1,3})(?!`)[^`\n]{1,2000}(?<!`)(?P=ticks)(?!`))"
ROLE = r"(?P<role>\{[A-Za-z][\w:+.-]{0,60}\}`(?P<said>[^`\n]{1,500})`)"
COMMENT = r"(?P<comment>\{/\*(?:[^*]|\*(?!/)){0,2000}\*/\}|\{#(?:[^#\n]|#(?!\})){1,400}#\})"
SHORT_CODE = r"(?P<short>\{\{[<%](?P<short_body>[^{}]{1,1000})[%>]\}\}|\{%-?(?P<liquid_body>[^{}%]{1,1000})-?%\})"
BOOK = r"(?P<book>\{\{#(?:title[ ]+(?P<book_title>[^{}]{1,300})|[a-z_]{1,30}[^{}]{0,300})\}\})"
ICON = r"(?P<icon>:(?:material|fontawesome|octicons|simple)-[\w-]{1,60}:(?:\{[^{}\n]{0,100}\})?)"
TAG = r"(?P<tag></?(?:[A-Z][\w.]{0,60})?(?=[\s/>])|<>|</>)"
TOKEN = re.compile("|".join((CODE, ROLE, COMMENT, SHORT_CODE, BOOK, ICON, TAG)))
STRING = re.compile(r"\{[ ]*(?:'([^'\n]{0,400})'|\"([^\"\n]{0,400})\"|`([^`\n]{0,400})`)[ ]*\}")
EXPRESSION = re.compile(r"\{[A-Za-z_$][\w$.]{0,100}(?:\([^(){}\n]{0,100}\))?\}")
SHOWN = re.compile(
    r"\b(?:title|label|summary|text|header|caption|heading|description|name|tab|alt)\s{0,3}=\s{0,3}"
    r"(?:\{\s{0,3})?(?:\"([^\"]{1,500})\"|'([^']{1,500})')"
)
QUOTED = re.compile(r"\"([^\"]{1,300})\"")
TITLED = ("tab", "details", "card", "step", "accordion", "expand", "hint", "callout", "admonition", "notice", "alert")
TRAILING = re.compile(r"[ ]{0,3}\{:[^{}\n]{0,200}\}[ ]*$", re.MULTILINE)
MARKED = re.compile(r"(?<![=\w])==(?=[^\s=])([^=\n]{1,300})(?<=\S)==(?![=\w])")
KEYS = re.compile(r"(?<![+\w])\+\+([a-z0-9\"][\w+\"-]{0,60})\+\+(?![+\w])")
ABBREVIATION = re.compile(r"^\*\[([^\]\n]{1,100})\]:[ ]*", re.MULTILINE)
TARGET = re.compile(r"^\([\w.:-]{1,100}\)=[ ]*$\n?", re.MULTILINE)
CONTENTS = re.compile(r"^(?:\[\[_?toc_?\]\]|\[TOC\]|\+\+\+)[ ]*$", re.MULTILINE | re.IGNORECASE)
DEFINITION = re.compile(r"^:[ \t]{1,4}(?=\S)", re.MULTILINE)
ROLE_TARGET = re.compile(r"(?<![ ])[ ]*+<[^<>]{1,400}>$")


def plain_inline(text: str, *, is_mdx: bool) -> str:
    """Return text without the markup of documentation tools."""
    parts: list[str] = []
    position = 0
    while found := TOKEN.search(text, position):
        parts.append(_outside_code(text[position : found.start()], is_mdx))
        if found["tag"] is None:
            parts.append(_replacement(found))
            position = found.end()
        else:
            said, position = _tag(text, found)
            parts.append(said)
    parts.append(_outside_code(text[position:], is_mdx))
    return "".join(parts)


def _replacement(found: re.Match[str]) -> str:
    if found["code"]:
        return found["code"]
    if found["role"]:
        said = found["said"]
        return ROLE_TARGET.sub("", said).lstrip("~!") or said
    if found["book"]:
        return found["book_title"] or ""
    body = found["short_body"] or found["liquid_body"]
    return _short_code(body.strip().rstrip("/-%").strip()) if body else ""


def _short_code(body: str) -> str:
    """Return the text of a short code that readers see: its title."""
    if body.startswith("/"):
        return ""
    shown = shown_attributes(body)
    name = body.split(None, 1)[0].lower()
    if not shown and any(name.startswith(each) for each in TITLED) and (first := QUOTED.search(body)):
        shown = "" if "=" in body[: first.start()].rsplit(None, 1)[-1] else first.group(1)
    return f"\n\n{shown}\n\n" if shown else ""


def shown_attributes(body: str) -> str:
    """Return the values of attributes that readers see."""
    return " ".join(found.group(1) or found.group(2) for found in SHOWN.finditer(body))


def _tag(text: str, found: re.Match[str]) -> tuple[str, int]:
    """Return the text that stands for a component's tag, and the end of the tag."""
    start = found.start()
    if found["tag"] in ("<>", "</>"):
        return "", found.end()
    if found["tag"] in ("<", "</"):  # another element, or a comparison
        return found["tag"], found.end()
    is_opening = not found["tag"].startswith("</")
    if is_opening and start and (text[start - 1].isalnum() or text[start - 1] in "_.)"):  # List<String>
        return "\\<", start + 1
    end = _end_of_tag(text, found.end())
    if end < 0:
        return "\\<", start + 1
    shown = shown_attributes(text[found.end() : end])
    if _is_alone(text, start, end):
        return f"\n\n{shown}\n\n" if shown else "\n", end
    return f"{shown} " if shown and text[end : end + 1].isalnum() else shown, end


def _is_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 200) : start], text[end : end + 200]
    return not before.rpartition("\n")[2].strip(" >") and not after.partition("\n")[0].strip()


def _end_of_tag(text: str, position: int) -> int:
    """Return the position after the `>` of a tag; -1 if it is none."""
    braces, quote = 0, ""
    for offset, character in enumerate(text[position : position + MAX_TAG]):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character == "{":
            braces += 1
        elif character == "}":
            braces -= 1
        elif not braces and character == ">":
            return position + offset + 1
        elif not braces and character == "<":
            return -1
    return -1


def _outside_code(text: str, is_mdx: bool) -> str:
    if is_mdx and "{" in text:
        text = EXPRESSION.sub("", STRING.sub(lambda found: next(filter(None, found.groups()), ""), text))
    text = TRAILING.sub("", text) if "{:" in text else text
    text = MARKED.sub(r"\1", text) if "==" in text else text
    text = KEYS.sub(r"\1", text) if "++" in text else text
    for pattern, kept in ((ABBREVIATION, r"\1: "), (TARGET, ""), (CONTENTS, ""), (DEFINITION, "")):
        text = pattern.sub(kept, text)
    return text
