"""The table of fusion methods.

Request checks, wire schema, command line, client and tuning read it.  This module imports no numpy, so that the Python
client stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.protocols import Retriever
    from retrieval.search.fusion import PassageRanker
    from retrieval.types import Bitmap


@dataclass(frozen=True, slots=True)
class FusionParameter:
    """A parameter of a fusion method; `name` is its field of a search request."""

    name: str
    type: type[int] | type[float]
    default: float
    low: float
    high: float
    description: str
    tuned: tuple[float, ...] = ()  # values that `attendex tune` tries; empty when it leaves the parameter alone
    needs: str = ""  # part of a collection without which the parameter has no effect: "sparse", "windows"; "" for none
    fused: bool = True  # whether `Fusion.fuse` takes it; others change the query's vector or the cosines before

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Fusion:
    """A fusion method; `fuse` takes retrievers, allowed live rows and parameters."""

    name: str
    description: str
    parameters: tuple[FusionParameter, ...]
    fuse: Callable[..., PassageRanker]

    def default(self, parameter: str) -> float:
        return next(each.default for each in self.parameters if each.name == parameter)


def _fuse_scores(
    retrievers: Sequence[Retriever], allowed: Bitmap, *, weight: float, sparse_weight: float
) -> PassageRanker:
    from retrieval.search.fusion import ConvexFusion, shares_of

    return ConvexFusion(retrievers, shares_of(weight, retrievers, sparse_weight), allowed)


def _fuse_ranks(retrievers: Sequence[Retriever], allowed: Bitmap, *, weight: float, rrf_k: int) -> PassageRanker:
    from retrieval.search.fusion import ReciprocalRankFusion, shares_of

    return ReciprocalRankFusion(retrievers, shares_of(weight, retrievers), allowed, rrf_k=rrf_k)


_WEIGHT = FusionParameter("weight", float, 0.6, 0, 1, "dense share of the fused score")
UNCALIBRATED_WEIGHT = 0.7  # default where the background of cosines is unknown, so that plain cosines are fused
_FEEDBACK = FusionParameter(
    "feedback", float, 0.4, 0, 1, "weight of the two best passages in the query's vector", (0.0, 0.2, 0.4), fused=False
)
_TENTHS = tuple(step / 10 for step in range(11))
_SPARSE_WEIGHT = FusionParameter(
    "sparse_weight", float, 0.4, 0, 1, "sparse part of what the dense share leaves", _TENTHS[::2], "sparse"
)
_WINDOW_SHARE = FusionParameter(
    *("window_share", float, 0.5, 0, 1, "part of the best window in a passage's cosine"),
    *((0.0, 0.5, 1.0), "windows"),
    fused=False,
)

DEFAULT_FUSION = "convex"  # of a search request, too
FUSIONS: Mapping[str, Fusion] = {
    each.name: each
    for each in (
        Fusion(
            "convex",
            "weighted sum of the scores",
            (replace(_WEIGHT, tuned=_TENTHS), _FEEDBACK, _SPARSE_WEIGHT, _WINDOW_SHARE),
            _fuse_scores,
        ),
        Fusion(
            "rrf",
            "sum of reciprocal ranks",
            (
                replace(_WEIGHT, default=0.5),
                FusionParameter("rrf_k", int, 60, 1, 10_000, "constant of reciprocal rank fusion"),
                _WINDOW_SHARE,
            ),
            _fuse_ranks,
        ),
    )
}
PARAMETERS: Mapping[str, FusionParameter] = {  # of all methods
    each.name: each for fusion in FUSIONS.values() for each in fusion.parameters
}
