"""A person's way through a pool: grade, undo, skip, come back later."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.errors import InputError
from retrieval.metrics.pooling import Pooled
from retrieval.metrics.runs import Qrels

GRADES = {0: "not relevant", 1: "related", 2: "relevant", 3: "exactly what was asked"}


class Judging:
    """Where a person stands in a pool.  What was judged before, also of other pools, is kept."""

    def __init__(self, pool: Sequence[Pooled], before: Qrels | None = None) -> None:
        self._judgments = {query: dict(documents) for query, documents in (before.judgments if before else {}).items()}
        self._waiting = [each for each in pool if not self._is_judged(each)]
        self._done: list[Pooled] = []
        self.total = len(pool)

    @property
    def current(self) -> Pooled | None:
        """What is to be judged now; None at the end."""
        return self._waiting[0] if self._waiting else None

    @property
    def left(self) -> int:
        """How many of the pool are not judged."""
        return len(self._waiting)

    def grade(self, value: int) -> None:
        """Judge the current document."""
        if value not in GRADES:
            raise InputError(f"grade {value} does not exist; grades: {', '.join(map(str, GRADES))}")
        each = self._waiting.pop(0)
        self._judgments.setdefault(each.query_id, {})[each.document_id] = value
        self._done.append(each)

    def skip(self) -> None:
        """Leave the current document for the end."""
        self._waiting.append(self._waiting.pop(0))

    def undo(self) -> bool:
        """Take back the last grade of this sitting; False when there is none."""
        if not self._done:
            return False
        each = self._done.pop()
        documents = self._judgments[each.query_id]
        del documents[each.document_id]
        if not documents:
            del self._judgments[each.query_id]
        self._waiting.insert(0, each)
        return True

    def qrels(self) -> Qrels:
        """All judgments so far."""
        return Qrels("judgments", {query: dict(documents) for query, documents in self._judgments.items()})

    def _is_judged(self, each: Pooled) -> bool:
        return each.document_id in self._judgments.get(each.query_id, {})
