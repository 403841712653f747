"""Several segments of the lexical index joined to one, without the passages that died; streamed, in bounded memory.

Terms are sorted in every segment, so that a range of terms is a contiguous slice of each: the output is made range by
range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.index.lexical.inverter import make_lexicon
from retrieval.index.lexical.postings import PASSAGE, STREAMED, TERM, Postings, file_name, save_array, write_header
from retrieval.types import Bitmap
from retrieval.util.files import Files, writing

_RANGE_POSTINGS = 1 << 21


@dataclass(frozen=True, slots=True)
class _Source:
    """A segment to be joined."""

    postings: Postings
    alive: Bitmap  # (passages,)
    number: NDArray[np.int64]  # (passages,): of each passage in the output, where it is alive
    terms: NDArray[np.int64]  # (terms,): of each term in the output, ascending


@dataclass(frozen=True, slots=True)
class _Range:
    """The postings of a range of terms, in the order of the output."""

    term: NDArray[np.int64]
    members: NDArray[np.uint32]
    frequencies: NDArray[Any]
    counts: NDArray[np.int64]
    places: NDArray[Any]


def merge_postings(
    sources: Sequence[Postings], alive: Sequence[Bitmap], files: Files, folder: Path, segment: str
) -> None:
    """Write `sources`, in the order of their keys, as the new segment `segment`; `alive` says which passages stay."""
    texts, joined = _numbered(sources, alive)
    sizes = _sizes(joined)
    with ExitStack() as stack:
        outputs = {}
        for name in STREAMED:
            outputs[name] = stack.enter_context(writing(files, folder / file_name(segment, name)))
            kind = np.result_type(*(each.arrays[name].dtype for each in sources))
            write_header(outputs[name], sizes.places if name == "places" else sizes.members, kind)
        passages = _passages(joined)
        parts = []
        kept = []
        for part in _ranges(joined, sizes.by_term):
            for name in STREAMED:
                kind = np.result_type(*(each.arrays[name].dtype for each in sources))
                outputs[name].write(np.ascontiguousarray(getattr(part, name), dtype=kind).tobytes())
            terms, dense = np.unique(part.term, return_inverse=True)
            kept.append(terms)
            parts.append(make_lexicon(dense, part.counts, part.frequencies, passages["length"][part.members]))
    _save_lexicon(files, folder, segment, texts, kept, parts)
    save_array(files, folder, segment, "passages", passages)


def _numbered(sources: Sequence[Postings], alive: Sequence[Bitmap]) -> tuple[pa.Array, list[_Source]]:
    """All texts of terms in order, and the segments with their terms and passages numbered through."""
    encoded = pa.concat_arrays([_texts(each) for each in sources]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = rank[encoded.indices.to_numpy()]
    joined = []
    first_term = first_passage = 0
    for postings, living in zip(sources, alive, strict=True):
        terms = numbers[first_term : first_term + postings.num_terms]
        joined.append(_Source(postings, living, first_passage + np.cumsum(living) - 1, terms))
        first_term += postings.num_terms
        first_passage += int(np.count_nonzero(living))
    return encoded.dictionary.take(pa.array(order)), joined


def _texts(postings: Postings) -> pa.Array:
    """The texts of a segment's terms."""
    offsets = pa.py_buffer(np.ascontiguousarray(postings.lexicon["text"], np.int64))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), postings.num_terms, [None, offsets, pa.py_buffer(postings.terms)]
    )


def _passages(sources: Sequence[_Source]) -> NDArray[np.void]:
    return np.concatenate([np.empty(0, PASSAGE), *(each.postings.passages[each.alive] for each in sources)])


@dataclass(frozen=True, slots=True)
class _Sizes:
    members: int
    places: int
    by_term: NDArray[np.int64]  # (terms,): postings before the dead ones are left out


def _sizes(sources: Sequence[_Source]) -> _Sizes:
    """How long the output's arrays will be."""
    members = places = 0
    by_term = np.zeros(1 + max((int(each.terms[-1]) for each in sources if len(each.terms)), default=-1), np.int64)
    for source in sources:
        by_term[source.terms] += np.diff(source.postings.lexicon["member"]).astype(np.int64)
        for start in range(0, len(source.postings.arrays["members"]), _RANGE_POSTINGS):
            stop = min(start + _RANGE_POSTINGS, len(source.postings.arrays["members"]))
            living = source.alive[source.postings.arrays["members"].read(start, stop)]
            members += int(np.count_nonzero(living))
            places += int(source.postings.arrays["counts"].read(start, stop)[living].sum(dtype=np.int64))
    return _Sizes(members, places, by_term)


def _ranges(sources: Sequence[_Source], by_term: NDArray[np.int64]) -> Iterator[_Range]:
    """The output's postings, about _RANGE_POSTINGS at a time, no term in two parts."""
    ends = np.cumsum(by_term)
    start = 0
    while start < len(by_term):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _RANGE_POSTINGS, side="right")))
        yield _joined([_slice(source, start, stop) for source in sources])
        start = stop


def _slice(source: _Source, start: int, stop: int) -> _Range:
    """What a segment has for the terms [start, stop) of the output."""
    postings = source.postings
    first, last = np.searchsorted(source.terms, [start, stop])
    entries, places = (
        slice(int(postings.lexicon[field][first]), int(postings.lexicon[field][last])) for field in ("member", "place")
    )
    sizes = np.diff(postings.lexicon["member"][first : last + 1]).astype(np.int64)
    members = postings.arrays["members"].read(entries.start, entries.stop)
    counts = postings.arrays["counts"].read(entries.start, entries.stop).astype(np.int64)
    living = source.alive[members]
    return _Range(
        np.repeat(source.terms[first:last], sizes)[living],
        source.number[members[living]].astype(np.uint32),
        postings.arrays["frequencies"].read(entries.start, entries.stop)[living],
        counts[living],
        postings.arrays["places"].read(places.start, places.stop)[np.repeat(living, counts)],
    )


def _joined(parts: Sequence[_Range]) -> _Range:
    """Slices of several segments, sorted by term; passages ascend within a term since segments follow each other."""
    term, counts = (np.concatenate([getattr(each, name) for each in parts]) for name in ("term", "counts"))
    order = np.argsort(term, kind="stable")
    place_order = np.argsort(np.repeat(term, counts), kind="stable")
    return _Range(
        term[order],
        np.concatenate([each.members for each in parts])[order],
        np.concatenate([each.frequencies for each in parts])[order],
        counts[order],
        np.concatenate([each.places for each in parts])[place_order],
    )


def _save_lexicon(
    files: Files,
    folder: Path,
    segment: str,
    texts: pa.Array,
    kept: Sequence[NDArray[np.int64]],
    parts: Sequence[NDArray[np.void]],
) -> None:
    """Join the lexicons of the ranges; `kept` numbers the terms that still have a passage."""
    left = texts.take(pa.array(np.concatenate([np.empty(0, np.int64), *kept])))
    records = np.zeros(len(left) + 1, TERM)
    at, members, places = 0, 0, 0
    for part in parts:
        records[at : at + len(part)] = part
        records["member"][at : at + len(part)] += np.uint64(members)
        records["place"][at : at + len(part)] += np.uint64(places)
        at += len(part) - 1
        members, places = int(records["member"][at]), int(records["place"][at])
    records["text"] = np.append(0, np.cumsum(pc.binary_length(left).to_numpy()))
    save_array(files, folder, segment, "lexicon", records)
    save_array(files, folder, segment, "terms", np.frombuffer(b"".join(left.to_pylist()), np.uint8))
