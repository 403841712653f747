"""Pack the passages of a search into a context.

The passages are taken in the order of the search.  A part that the context has already is left out: where passages of
one document overlap, and sentences at the ends of a passage that stand in the context in the same words.  Parts of a
document that touch are joined.  The first text that does not fit is cut at the end of a sentence, and the context ends
with it.  The documents stand in the order of their best passages, the texts of each in its own order:

    [1] Title, p. 12
    Text of the document.

    [2] Title, p. 14
    Text further on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from retrieval.protocols import Tokenizer
from retrieval.results import Hit, PassageHit, SearchResult
from retrieval.search.answers.context import (
    Citation,
    CitedPassage,
    Context,
    ContextLimit,
    Count,
    check_limit,
    counter,
    passage_request,
)
from retrieval.search.answers.passages import page_of, source_of
from retrieval.search.answers.sentences import fitting_start, repeated, sentence_spans
from retrieval.search.searcher import Searcher
from retrieval.types import SearchRequest
from retrieval.util.work_budget import checkpoint

SEPARATOR = "\n\n"
DEFAULT_LIMIT = ContextLimit()
MAX_LABEL = 160  # characters of the line that names a document
HEADER_SHARE = 4  # a line of more than this part of the limit names no document
MIN_REPEATED = 16  # letters of a sentence that is not repeated
MAX_CHARACTERS_PER_UNIT = 16  # of the text that is read for a limit


@dataclass(frozen=True, slots=True)
class Block:
    """A text of a document in a context, and the passages that it comes from."""

    hit: Hit
    start: int
    text: str
    passages: tuple[tuple[Hit, PassageHit], ...]

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def first_passage(self) -> PassageHit:
        """The passage that stands first in the document."""
        return min((passage for _, passage in self.passages), key=lambda passage: passage.start)

    def joined(self, after: Block) -> Block:
        """Return this block and the one that begins where it ends."""
        return replace(self, text=self.text + after.text, passages=self.passages + after.passages)


@dataclass(slots=True)
class Packed:
    """The blocks of each document, and what their texts count."""

    documents: dict[tuple[str | None, str], list[Block]] = field(default_factory=dict)
    sentences: set[str] = field(default_factory=set)
    size: int = 0
    used_hits: int = 0
    truncated: bool = False

    def blocks(self) -> list[Block]:
        return list(chain.from_iterable(self.documents.values()))


def find_context(
    searcher: Searcher, request: SearchRequest, limit: ContextLimit = DEFAULT_LIMIT, *, by_document: bool = False
) -> Context:
    """Search for passages and pack them.  Raises BadQuery and FilterError.

    `request.k` is the number of passages to choose from; `by_document` is that of `passage_request`.
    """
    limit = check_limit(limit)
    found = searcher.search(passage_request(request, by_document=by_document))
    return pack_context(request, limit, found, searcher.encoder.tokenizer)


def pack_context(request: SearchRequest, limit: ContextLimit, found: SearchResult, tokenizer: Tokenizer) -> Context:
    """Return the context of the passages found by `passage_request(request)`.

    It counts at most `limit`.  It has text if the search found a passage.
    """
    count = counter(limit.unit, tokenizer)
    maximum = limit.max_tokens
    while True:  # a text may have more tokens than its parts have together
        packed = Packer(count, maximum, len(found.hits)).pack(found.hits)
        text, citations = _written(packed.blocks(), request, count, limit.max_tokens)
        size = count(text)
        if size <= limit.max_tokens or maximum <= 1:
            break
        maximum -= size - limit.max_tokens
    next_offset = request.offset + packed.used_hits if packed.truncated else None
    return Context(text, size, limit.unit, citations, packed.truncated, next_offset, replace(found, hits=()))


class Packer:
    """Takes passages until the limit is reached."""

    def __init__(self, count: Count, maximum: int, hits: int) -> None:
        self._count = count
        self._maximum = maximum
        self._largest_id = 10 ** len(str(hits)) - 1
        self._separator = count(SEPARATOR)
        self._sizes: dict[tuple[object, ...], int] = {}

    def pack(self, hits: Sequence[Hit]) -> Packed:
        """Return the blocks of the first passages that fit."""
        packed = Packed()
        for hit in hits:
            packed.used_hits += 1
            for passage in hit.passages:
                checkpoint()
                if not self._add(packed, hit, passage):
                    packed.truncated = True
                    return packed
        return packed

    def _add(self, packed: Packed, hit: Hit, passage: PassageHit) -> bool:
        """Add the new parts of a passage.  False: not all of it fits."""
        blocks = packed.documents.get((hit.collection, hit.id), [])
        text = passage.before + passage.text + passage.after
        whole = Block(hit, passage.start - len(passage.before), text, ((hit, passage),))
        if not text.strip():
            return self._add_title(packed, whole)
        for part in _missing(whole, blocks):
            new = self._without_repeated(part, packed)
            if new is not None and not self._place(packed, new):
                return False
        return True

    def _add_title(self, packed: Packed, block: Block) -> bool:
        """Add a document without text, if none of its blocks is there."""
        key = (block.hit.collection, block.hit.id)
        return key in packed.documents or self._place(packed, replace(block, text=""))

    def _without_repeated(self, part: Block, packed: Packed) -> Block | None:
        """Cut off the sentences at both ends that the context has already."""
        text = part.text[: MAX_CHARACTERS_PER_UNIT * self._maximum]
        spans = sentence_spans(text)
        known = [_is_known(text[start:end], packed.sentences) for start, end in spans]
        if not spans or all(known):
            return None
        first = known.index(False)
        last = len(known) - 1 - known[::-1].index(False)
        if first == 0 and last == len(known) - 1:
            return part
        start = spans[first][0] if first else 0
        end = spans[last][1] if last < len(known) - 1 else len(part.text)
        return replace(part, start=part.start + start, text=part.text[start:end])

    def _place(self, packed: Packed, part: Block) -> bool:
        """Add a block, or its start.  False: not all of it fits."""
        is_bounded = len(part.text) <= MAX_CHARACTERS_PER_UNIT * self._maximum
        if is_bounded and self._keep(packed, part):
            return True
        before = packed.documents.get((part.hit.collection, part.hit.id), [])
        continues = any(block.text and block.end == part.start for block in before)
        remaining = self._maximum - packed.size - (0 if continues else self._size(replace(part, text="")))
        if remaining > 0:
            bounded = part.text[: MAX_CHARACTERS_PER_UNIT * remaining]
            start = fitting_start(bounded, remaining, self._count, may_cut_sentence=not packed.documents)
            if start:
                self._keep(packed, replace(part, text=start))
        return False

    def _keep(self, packed: Packed, part: Block) -> bool:
        """Add a block if it fits."""
        key = (part.hit.collection, part.hit.id)
        before = packed.documents.get(key, [])
        after = _joined([*before, part])
        size = packed.size + sum(map(self._size, after)) - sum(map(self._size, before))
        if size > self._maximum:
            return False
        packed.documents[key] = after
        packed.size = size
        packed.sentences |= {repeated(part.text[start:end]) for start, end in sentence_spans(part.text)}
        return True

    def _size(self, block: Block) -> int:
        """Return what a block counts with its header and the separator."""
        place = (block.hit.collection, block.hit.id, block.start, block.end, block.first_passage.location)
        if place not in self._sizes:
            header = _header(block, self._largest_id, self._count, self._maximum)
            self._sizes[place] = self._count(header) + self._count(block.text) + self._separator
        return self._sizes[place]


def _is_known(sentence: str, known: set[str]) -> bool:
    letters = repeated(sentence)
    return len(letters) >= MIN_REPEATED and letters in known


def _missing(whole: Block, blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the parts of a block that no other block of its document has."""
    at = whole.start
    for block in [*blocks, None]:
        start = whole.end if block is None else min(block.start, whole.end)
        if start > at and whole.text[at - whole.start : start - whole.start].strip():
            yield replace(whole, start=at, text=whole.text[at - whole.start : start - whole.start])
        at = at if block is None else max(at, block.end)


def _joined(blocks: list[Block]) -> list[Block]:
    """Return the blocks of a document in order; blocks that touch are one."""
    done: list[Block] = []
    for block in sorted(blocks, key=lambda block: block.start):
        if done and done[-1].end == block.start and done[-1].text:
            done[-1] = done[-1].joined(block)
        else:
            done.append(block)
    return done


def _header(block: Block, number: int, count: Count, maximum: int) -> str:
    """Return the line that names a block; a long line has only the number."""
    location = block.first_passage.location
    label = ", ".join(" ".join(each.split()) for each in (block.hit.title or block.hit.id, location) if each)
    line = f"[{number}] {label[:MAX_LABEL]}\n"
    return line if count(line) * HEADER_SHARE <= maximum else f"[{number}]\n"


def _written(
    blocks: Sequence[Block], request: SearchRequest, count: Count, maximum: int
) -> tuple[str, tuple[Citation, ...]]:
    """Return the text of a context and its citations."""
    parts: list[str] = []
    citations: list[Citation] = []
    length = 0
    for number, block in enumerate(blocks, start=1):
        header = (SEPARATOR if parts else "") + _header(block, number, count, maximum)
        citations.append(_citation(number, block, length + len(header), request, count))
        parts += (header, block.text)
        length += len(header) + len(block.text)
    return "".join(parts), tuple(citations)


def _citation(number: int, block: Block, offset: int, request: SearchRequest, count: Count) -> Citation:
    hit, first = block.hit, block.first_passage
    passages = sorted(block.passages, key=lambda pair: pair[0].rank)
    return Citation(
        id=number,
        document=hit.id,
        start=block.start,
        end=block.end,
        text=block.text,
        offset=offset,
        tokens=count(block.text),
        title=hit.title,
        location=first.location,
        page=page_of(first.location),
        heading=first.heading,
        source=source_of(hit.metadata),
        collection=hit.collection,
        metadata={
            name: value for name, value in hit.metadata.items() if request.fields is None or name in request.fields
        },
        highlights=_highlights(block),
        passages=tuple(_cited(hit, passage) for hit, passage in passages),
    )


def _cited(hit: Hit, passage: PassageHit) -> CitedPassage:
    is_explained = hit.explanation is not None and passage is hit.passages[0]
    return CitedPassage(
        passage.number,
        passage.start,
        passage.end,
        passage.score,
        hit.scores,
        hit.explanation if is_explained else None,
    )


def _highlights(block: Block) -> tuple[tuple[int, int], ...]:
    """Return the highlights of the passages, as offsets in the text of the block."""
    spans = {
        (passage.start + start - block.start, passage.start + end - block.start)
        for _, passage in block.passages
        for start, end in passage.highlights
    }
    return tuple(sorted((start, end) for start, end in spans if start >= 0 and end <= len(block.text)))
