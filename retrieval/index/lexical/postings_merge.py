"""Merge segments of the lexical index into one without deleted passages.

Each segment has its terms in order, so that a range of terms is a contiguous slice of each segment.  The merge writes
the output range by range, in bounded memory.
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
from retrieval.index.lexical.postings import (
    PASSAGE,
    PER_POSTING,
    STREAMED,
    TERM,
    TITLES,
    Postings,
    file_name,
    save_array,
)
from retrieval.index.storage.npy import write_header
from retrieval.types import Bitmap
from retrieval.util.files import Files, writing

_RANGE_POSTINGS = 1 << 21  # of one range, about


@dataclass(frozen=True, slots=True)
class _MergeSource:
    """A segment to merge."""

    postings: Postings
    live: Bitmap  # (passages,)
    new_passages: NDArray[np.int64]  # (passages,): index of each live passage in the output
    new_terms: NDArray[np.int64]  # (terms,): number of each term in the output, ascending


@dataclass(frozen=True, slots=True)
class _MergedRange:
    """The postings of a range of terms; most fields are named like the files."""

    term: NDArray[np.int64]
    members: NDArray[np.uint32]
    frequencies: NDArray[Any]
    counts: NDArray[np.int64]
    places: NDArray[Any]


def merge_postings(
    sources: Sequence[Postings], live: Sequence[Bitmap], files: Files, folder: Path, segment: str
) -> None:
    """Write the live passages of `sources`, in the order of their keys, as `segment`.

    live: (passages,) of each source.
    """
    texts, numbered = _number(sources, live)
    num_postings, num_positions, postings_of_term = _count(numbered)
    kinds = {name: np.result_type(*(source.arrays[name].dtype for source in sources)) for name in STREAMED}
    with ExitStack() as stack:
        outputs = {}
        for name in STREAMED:
            outputs[name] = stack.enter_context(writing(files, folder / file_name(segment, name)))
            write_header(outputs[name], (num_postings if name in PER_POSTING else num_positions,), kinds[name])
        passages = np.concatenate([np.empty(0, PASSAGE), *(each.postings.passages[each.live] for each in numbered)])
        lexicons = []
        used_terms = [np.empty(0, np.int64)]
        for merged in _ranges(numbered, postings_of_term):
            for name in STREAMED:
                outputs[name].write(np.ascontiguousarray(getattr(merged, name), dtype=kinds[name]).tobytes())
            terms, dense = np.unique(merged.term, return_inverse=True)
            used_terms.append(terms)
            lengths = passages["length"][merged.members]
            lexicons.append(make_lexicon(dense, merged.counts, merged.frequencies, lengths))
    _save_lexicon(files, folder, segment, texts.take(pa.array(np.concatenate(used_terms))), lexicons)
    save_array(files, folder, segment, "passages", passages)
    titles = [each.postings.titles[each.live] for each in numbered if each.postings.titles is not None]
    if len(titles) == len(numbered):
        save_array(files, folder, segment, TITLES, np.concatenate(titles))


def _number(sources: Sequence[Postings], live: Sequence[Bitmap]) -> tuple[pa.Array, list[_MergeSource]]:
    """Return the texts of all terms in order, and the sources with new numbers."""
    encoded = pa.concat_arrays([_term_texts(source) for source in sources]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = rank[encoded.indices.to_numpy()]
    numbered = []
    first_term = first_passage = 0
    for postings, is_live in zip(sources, live, strict=True):
        terms = numbers[first_term : first_term + postings.num_terms]
        numbered.append(_MergeSource(postings, is_live, first_passage + np.cumsum(is_live) - 1, terms))
        first_term += postings.num_terms
        first_passage += int(np.count_nonzero(is_live))
    return encoded.dictionary.take(pa.array(order)), numbered


def _term_texts(postings: Postings) -> pa.Array:
    offsets = pa.py_buffer(np.ascontiguousarray(postings.lexicon["text"], np.int64))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), postings.num_terms, [None, offsets, pa.py_buffer(postings.terms)]
    )


def _count(sources: Sequence[_MergeSource]) -> tuple[int, int, NDArray[np.int64]]:
    """Count live postings and positions, and all postings of each term: (terms,)."""
    num_postings = num_positions = 0
    last_terms = (int(source.new_terms[-1]) for source in sources if len(source.new_terms))
    by_term = np.zeros(1 + max(last_terms, default=-1), np.int64)
    for source in sources:
        by_term[source.new_terms] += np.diff(source.postings.lexicon["member"]).astype(np.int64)
        members, counts = source.postings.arrays["members"], source.postings.arrays["counts"]
        for start in range(0, len(members), _RANGE_POSTINGS):
            stop = min(start + _RANGE_POSTINGS, len(members))
            live = source.live[members.read(start, stop)]
            num_postings += int(np.count_nonzero(live))
            num_positions += int(counts.read(start, stop)[live].sum(dtype=np.int64))
    return num_postings, num_positions, by_term


def _ranges(sources: Sequence[_MergeSource], by_term: NDArray[np.int64]) -> Iterator[_MergedRange]:
    """Yield about _RANGE_POSTINGS of the output at once; split no term."""
    ends = np.cumsum(by_term)
    start = 0
    while start < len(by_term):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _RANGE_POSTINGS, side="right")))
        yield _join([_slice(source, start, stop) for source in sources])
        start = stop


def _slice(source: _MergeSource, start: int, stop: int) -> _MergedRange:
    """Return the live postings of a segment for the terms [start, stop) of the output."""
    lexicon, arrays = source.postings.lexicon, source.postings.arrays
    first, last = np.searchsorted(source.new_terms, [start, stop])
    entries, positions = ((int(lexicon[field][first]), int(lexicon[field][last])) for field in ("member", "place"))
    sizes = np.diff(lexicon["member"][first : last + 1]).astype(np.int64)
    members = arrays["members"].read(*entries)
    counts = arrays["counts"].read(*entries).astype(np.int64)
    live = source.live[members]
    return _MergedRange(
        np.repeat(source.new_terms[first:last], sizes)[live],
        source.new_passages[members[live]].astype(np.uint32),
        arrays["frequencies"].read(*entries)[live],
        counts[live],
        arrays["places"].read(*positions)[np.repeat(live, counts)],
    )


def _join(slices: Sequence[_MergedRange]) -> _MergedRange:
    """Join slices and sort them by term; the passages of each term ascend."""
    term, counts = (np.concatenate([getattr(each, name) for each in slices]) for name in ("term", "counts"))
    order = np.argsort(term, kind="stable")
    position_order = np.argsort(np.repeat(term, counts), kind="stable")
    return _MergedRange(
        term[order],
        np.concatenate([each.members for each in slices])[order],
        np.concatenate([each.frequencies for each in slices])[order],
        counts[order],
        np.concatenate([each.places for each in slices])[position_order],
    )


def _save_lexicon(
    files: Files, folder: Path, segment: str, texts: pa.Array, lexicons: Sequence[NDArray[np.void]]
) -> None:
    """Join and write the lexicons; `texts` are those of terms with a live passage."""
    records = np.zeros(len(texts) + 1, TERM)
    at, num_postings, num_positions = 0, 0, 0
    for lexicon in lexicons:
        records[at : at + len(lexicon)] = lexicon
        records["member"][at : at + len(lexicon)] += np.uint64(num_postings)
        records["place"][at : at + len(lexicon)] += np.uint64(num_positions)
        at += len(lexicon) - 1
        num_postings, num_positions = int(records["member"][at]), int(records["place"][at])
    records["text"] = np.append(0, np.cumsum(pc.binary_length(texts).to_numpy()))
    save_array(files, folder, segment, "lexicon", records)
    save_array(files, folder, segment, "terms", np.frombuffer(b"".join(texts.to_pylist()), np.uint8))
