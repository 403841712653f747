"""Read TREC topics: `<top>`, also without closing tags, and XML.

<top>                                     <topic number="301">
<num> Number: 301                           <query>organized crime</query>
<title> International Organized Crime       <description>Identify …</description>
<desc> Description:                       </topic>
Identify …
</top>
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from retrieval.metrics.runs import Topic

TOPIC = re.compile(r"<(?:topic|top)\b([^<>]*)>", re.IGNORECASE)
END = re.compile(r"</(?:topic|top)\s*>", re.IGNORECASE)
# Also CLEF: <EN-title>.  The repeat is possessive, because a repeat that can step back keeps memory for each step.
TAG = re.compile(r"<(?:[A-Za-z]{2}-)?([A-Za-z]\w*+)[^<>]*+>((?:[^<]+|<(?![A-Za-z/]))*+)")
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
NUMBER = re.compile(r"""\b(?:number|num|id|qid)\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
LABEL = re.compile(
    r"(?:Number|Topic|Title|Query|Description|Summary|Narrative|Domain|Concepts?(?:\(s\))?|Factors?(?:\(s\))?"
    r"|Definitions?(?:\(s\))?)\s*:",
    re.IGNORECASE,
)
IDS = ("num", "number", "id", "qid", "topid", "identifier")
TEXTS = ("title", "query", "question", "desc", "description", "summary", "note", "")
NAMES = {"desc": "description", "narr": "narrative", "smry": "summary", "dom": "domain", "con": "concepts"}


def is_trec_topics(text: str) -> bool:
    """Check whether the text of a file begins like TREC topics."""
    return text.lstrip("\ufeff \t\r\n").startswith("<") and TOPIC.search(text) is not None


def trec_topics(text: str) -> Iterator[tuple[int, Topic]]:
    """Yield the position and the topic of each `<top>` or `<topic>`.

    The text is the title, else the query, the question or the description; the other fields are attributes. A topic
    without number or text has "".
    """
    text = COMMENT.sub(lambda match: " " * len(match.group()), text)
    starts = list(TOPIC.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        body = text[start.end() : end]
        closed = END.search(body)
        yield start.start(), _topic(start.group(1), body[: closed.start()] if closed else body)


def _topic(attributes: str, body: str) -> Topic:
    fields = {"": _clean(body.partition("<")[0])}
    for name, text in TAG.findall(body):
        fields.setdefault(name.lower(), _clean(text))
    number = NUMBER.search(attributes)
    identifier = number.group(1) if number else next((fields[name] for name in IDS if fields.get(name)), "")
    chosen = next((name for name in TEXTS if fields.get(name)), "")
    rest = {NAMES.get(name, name): text for name, text in fields.items() if text and name not in (*IDS, chosen)}
    return Topic(identifier.lstrip("0") or identifier, fields[chosen], rest)


def _clean(text: str) -> str:
    """Return a field on one line, without the label of old topics."""
    line = " ".join(html.unescape(text).split())
    labelled = LABEL.match(line)
    return line[labelled.end() :].strip() if labelled else line
