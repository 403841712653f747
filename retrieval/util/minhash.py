"""MinHash: find texts that share most of their letters, without all comparisons.

A text is the set of its runs of SHINGLE letters, in lower case; whatever lies between words counts as one space.  The
similarity of two texts is that of their sets, |A ∩ B| / |A ∪ B| (Jaccard).  A signature keeps the least hash of each of
BINS parts of the set (one permutation hashing, Li, Owen and Zhang 2012); an empty part takes the value of another part
(optimal densification, Shrivastava 2017).  Two texts agree in a bin about as often as their similarity says.  Texts
that agree in all bins of a band are candidates (Broder 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5  # letters
BINS = 128  # numbers of a signature
FOUND_SHARE = 0.98  # of pairs at the threshold that agree in a band, at least

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]

_SEED = 7
_NO_VALUE = np.uint32(0xFFFFFFFF)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))  # of splitmix64
_PAIR_BITS, _HASH_BITS = 24, 40  # of a number that joins a pair or text and a hash
MAX_TOGETHER = 1 << _PAIR_BITS  # pairs, or texts, that are compared at once


def shingles(texts: Sequence[str]) -> tuple[Hashes, Numbers]:
    """Return the hash of each shingle, and the number of its text, ascending.

    A text without letters and digits has no shingle; a short one is filled up with spaces.
    """
    letters = np.frombuffer("\n".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
    owners = np.repeat(np.arange(len(texts)), np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
    folded = _folded(letters)
    is_space = folded == 0
    kept = ~(is_space & np.append(True, is_space[:-1]))
    folded, owners = folded[kept], owners[kept]
    hashes = np.zeros(len(folded), np.uint64)
    for offset in range(SHINGLE):
        following = np.zeros(len(folded), np.uint64)
        same_text = owners[offset:] == owners[: len(owners) - offset]
        following[: len(same_text)][same_text] = folded[offset:][same_text]
        hashes = hashes * _FACTOR + following
    return _mixed(hashes), owners


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return the signature of each text, (texts, BINS); zeros without shingles."""
    hashes, owners = shingles(texts)
    found = np.full((len(texts), BINS), _NO_VALUE)
    bins = (hashes % np.uint64(BINS)).astype(np.int64)
    np.minimum.at(found.ravel(), owners * BINS + bins, (hashes >> np.uint64(33)).astype(np.uint32))
    has_value = (found != _NO_VALUE).any(axis=1)
    found[~has_value] = 0
    _fill(found)
    return found


def band_size(threshold: float) -> int:
    """Return the greatest size of a band that finds FOUND_SHARE of the pairs."""
    sizes = range(BINS, 1, -1)
    return next((n for n in sizes if 1.0 - (1.0 - threshold**n) ** (BINS // n) >= FOUND_SHARE), 1)


def band_keys(signed: NDArray[np.uint32], size: int) -> Hashes:
    """Return a number for each band of each signature: (bands, texts)."""
    keys = np.zeros((BINS // size, len(signed)), np.uint64)
    for band in range(len(keys)):
        for column in range(band * size, (band + 1) * size):
            keys[band] = _mixed(keys[band] * _FACTOR + signed[:, column])
    return keys


def similarities(texts: Sequence[str], pairs: Numbers) -> NDArray[np.float64]:
    """Return the exact similarity of each pair of texts.

    pairs: (n, 2), positions in `texts`.  Every text has a shingle; texts and pairs are at most MAX_TOGETHER.
    """
    hashes, owners = shingles(texts)
    low = np.uint64((1 << _HASH_BITS) - 1)
    distinct = np.unique((owners.astype(np.uint64) << np.uint64(_HASH_BITS)) | (hashes & low))
    sizes = np.bincount((distinct >> np.uint64(_HASH_BITS)).astype(np.int64), minlength=len(texts))
    starts = np.cumsum(sizes) - sizes
    members = pairs.ravel()
    positions = np.repeat(starts[members] - np.cumsum(sizes[members]) + sizes[members], sizes[members])
    positions += np.arange(len(positions))
    pair_numbers = np.repeat(np.repeat(np.arange(len(pairs)), 2), sizes[members]).astype(np.uint64)
    joined = np.sort((pair_numbers << np.uint64(_HASH_BITS)) | (distinct[positions] & low))
    shared = joined[:-1][joined[1:] == joined[:-1]] >> np.uint64(_HASH_BITS)
    common = np.bincount(shared.astype(np.int64), minlength=len(pairs))
    return np.asarray(common / (sizes[pairs].sum(axis=1) - common))


def _fill(found: NDArray[np.uint32]) -> None:
    """Give each empty bin the value of a bin that depends on its number alone."""
    order = np.random.default_rng(_SEED)
    rows = np.flatnonzero((found == _NO_VALUE).any(axis=1))
    given = found[rows]
    filled = given.copy()
    while len(rows):
        sources = order.integers(BINS, size=BINS)
        filled = np.where(filled == _NO_VALUE, given[:, sources], filled)
        done = (filled != _NO_VALUE).all(axis=1)
        found[rows[done]] = filled[done]
        rows, given, filled = rows[~done], given[~done], filled[~done]


def _folded(letters: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return letters and digits in lower case; 0 for all others."""
    table = _lower_case()
    return np.where(letters < len(table), table[np.minimum(letters, len(table) - 1)], letters)


@cache
def _lower_case() -> NDArray[np.uint32]:
    """Return the lower case of each letter and digit of the basic plane; 0 for others."""
    each = map(chr, range(1 << 16))
    return np.array([ord(letter.lower()[0]) if letter.isalnum() else 0 for letter in each], np.uint32)


def _mixed(hashes: Hashes) -> Hashes:
    for shift, factor in _MIX:
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * factor
    return hashes ^ (hashes >> np.uint64(31))
