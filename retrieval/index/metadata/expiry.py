"""Documents that expire: a date field tells until when each is found.

A document without a value never expires.  A date without a time is midnight, in UTC, at its start.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from retrieval.types import Bitmap, FieldType, Schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = np.iinfo(np.int64).max


def has_expiry(field: str, schema: Schema) -> bool:
    """Check whether documents can expire: the setting names a date field."""
    return schema.get(field) is FieldType.DATE


class Expiry:
    """The times at which documents expire; `column` has the field of all of them."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._times = column.cast(pa.int64()).fill_null(_NEVER).to_numpy()  # microseconds since 1970
        self._first = int(self._times.min(initial=_NEVER))

    def expired(self, now: datetime) -> Bitmap | None:
        """Return the documents whose time has come, (documents,); None for none."""
        moment = (now - _EPOCH) // timedelta(microseconds=1)
        return None if self._first > moment else self._times <= moment
