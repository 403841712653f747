"""Checks of the options that choose the contents of an answer."""

from __future__ import annotations

from retrieval.errors import BadQuery
from retrieval.types import Detail, GroupBy, Included, SearchRequest

MAX_NEIGHBOURS = 10
MAX_TOKENS = 100_000
MAX_COUNTED_PASSAGES = 1_000  # of an answer with the numbers of their tokens


def check_contents(request: SearchRequest) -> None:
    """Raise BadQuery for options that are out of range or contradict each other."""
    if not 0 <= request.neighbours <= MAX_NEIGHBOURS:
        raise BadQuery(f"neighbours is {request.neighbours}; give a number of passages from 0 to {MAX_NEIGHBOURS}")
    if request.max_tokens is not None:
        if not 1 <= request.max_tokens <= MAX_TOKENS:
            raise BadQuery(f"max_tokens is {request.max_tokens}; give a number from 1 to {MAX_TOKENS:,}")
        if request.has_whole_texts:
            raise BadQuery("max_tokens bounds passages, and this search returns whole texts; give one of both")
    if request.detail is Detail.IDS:
        _check_ids(request)
    if request.group_by is GroupBy.NONE:
        _check_passages(request)
    passages = request.k * request.passages_per_document
    if Included.TOKENS in request.include and passages > MAX_COUNTED_PASSAGES:
        raise BadQuery(
            f"k · passages_per_document is {passages:,}; the tokens of at most {MAX_COUNTED_PASSAGES:,} passages are "
            "counted. Ask for fewer, or give max_tokens instead of include tokens"
        )


def _check_ids(request: SearchRequest) -> None:
    """Refuse the options of passages for hits without passages."""
    for name in ("include", "neighbours", "max_tokens", "highlight", "explain", "fields"):
        if getattr(request, name):
            raise BadQuery(f"detail is ids, which leaves nothing for {name}; give detail passages, or leave out {name}")


def _check_passages(request: SearchRequest) -> None:
    """Refuse the options that order documents for hits that are passages."""
    if request.collapse:
        raise BadQuery("collapse joins documents, and group_by none returns passages; give one of both")
    for name in ("sort", "rerank"):
        if getattr(request, name):
            raise BadQuery(f"{name} orders documents, and group_by none returns passages; give one of both")
