"""Typed metadata come back from Arrow columns as they went in."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.index.metadata.columns import arrow_schema, from_scalar, to_columns
from retrieval.index.metadata.schema import typed_metadata
from retrieval.types import FieldType

MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])).filter(
    lambda moment: 2 < moment.year < 9998
)
VALUES = {
    FieldType.STRING: st.text(st.characters(exclude_categories=["Cs"])),
    FieldType.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: MOMENTS,
}
VALUES |= {kind.as_list: st.lists(values).map(tuple) for kind, values in VALUES.items()}


@settings(deadline=None)
@given(st.data(), st.sampled_from(FieldType))
def test_columns_give_back_what_went_in(data: st.DataObject, kind: FieldType) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind], max_size=5))
    schema = {"field": kind}
    rows = [typed_metadata({"field": value}, schema, "d") for value in values]
    batch = pa.RecordBatch.from_arrays(to_columns(rows, schema), schema=arrow_schema(schema))
    assert [from_scalar(cell) for cell in batch.column("field")] == values
