"""Build a self-contained HTML page for screen and print, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4; --series-1: #0b62c4; --series-2: #c2410c;
  --series-3: #15803d; --series-4: #7e22ce; --series-5: #b45309; --series-6: #be185d; --hit: #dcfce7;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e8ea; --soft: #9aa4ae; --rule: #333a41;
  --series-1: #6cb2ff; --series-2: #ff9a62; --series-3: #6ee79a; --series-4: #d0a2ff; --series-5: #f5c26b;
  --series-6: #ff8fc0; --hit: #14391f; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 60rem; padding: 2rem 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p.verdict { font-size: 1.1rem; font-weight: 600; margin: .4rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .5rem; text-align: right; vertical-align: top;
  white-space: nowrap; }
td.text { white-space: normal; }
th:first-child, td:first-child, th.text, td.text { text-align: left; } td.relevant { background: var(--hit); }
figure { margin: 1rem 0; } figure svg { max-width: 100%; width: 42rem; height: auto; }
figcaption { color: var(--soft); }
code { font-size: .85em; overflow-wrap: anywhere; } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
@media print { :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --rule: #bbbbbb; --series-1: #0b62c4;
  --series-2: #c2410c; --series-3: #15803d; --series-4: #7e22ce; --series-5: #b45309; --series-6: #be185d;
  --hit: #e5e5e5; } figure, table, h3 { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell of a table.  `prose` is left-aligned; `relevant` is highlighted."""

    text: str
    prose: bool = False
    relevant: bool = False


def html_page(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is "", "verdict" or "soft"."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def figure(svg: str, caption: str) -> str:
    """Return a figure; screen readers read its caption."""
    named = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return f"<figure>{named}<figcaption>{escape(caption)}</figcaption></figure>"


def table(head: Sequence[TableCell | str], rows: Iterable[Sequence[TableCell | str]]) -> str:
    """Return a table; the first column and prose columns are left-aligned."""
    top = "".join(_cell(cell, "th", ' scope="col"') for cell in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def facts_table(values: Mapping[str, str]) -> str:
    """Return a table of names and values, such as settings."""
    return table(("", ""), [(name, TableCell(value, prose=True)) for name, value in values.items()])


def _cell(content: TableCell | str, tag: str = "td", attributes: str = "") -> str:
    cell = TableCell(content) if isinstance(content, str) else content
    classes = " ".join(name for name, on in (("text", cell.prose), ("relevant", cell.relevant)) if on)
    attributes += f' class="{classes}"' if classes else ""
    return f"<{tag}{attributes}>{escape(cell.text)}</{tag}>"
