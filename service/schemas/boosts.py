"""Boosts on the wire; they mirror the record of retrieval/boosts.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from retrieval.boosts import MAX_BOOSTS, MAX_WEIGHT, MIN_WEIGHT, Boost, parse_each_boost
from service.schemas.base import Name, RequestBody, Text, examples, items

Distance = Annotated[float | Name, Field(description="A number; for dates a text such as `30d` (s, m, h, d, w).")]


class BoostBody(RequestBody):
    """A condition or a field that multiplies the scores of documents."""

    weight: float = Field(ge=MIN_WEIGHT, le=MAX_WEIGHT, description="Factor where the value is 1; below 1 it demotes.")
    filter: Text = Field(
        default="", description="Expression over metadata fields; documents that match have the value 1."
    )
    field: Name = Field(default="", description="Field of numbers or dates, instead of a filter.")
    curve: Literal["", "value", "log1p", "linear", "exponential", "gaussian"] = Field(
        default="", description="`value` and `log1p` grow with the field, the others fall with the distance."
    )
    max: float | None = Field(default=None, gt=0, description="Number that has the value 1; default: the greatest one.")
    origin: float | Name | None = Field(default=None, description="A number, a date or `now`, which is the default.")
    scale: Distance | None = Field(default=None, description="Distance from the origin where the curve is `decay`.")
    offset: Distance | None = Field(default=None, description="Distance up to which the curve is 1; default: 0.")
    decay: float | None = Field(default=None, gt=0, lt=1, description="Value at the distance `scale`; default: 0.5.")

    def record(self) -> Boost:
        """Return the searcher's record."""
        return Boost(**self.model_dump())

    model_config = examples(
        {"filter": "in_stock", "weight": 1.5},
        {"field": "added", "curve": "gaussian", "scale": "30d", "weight": 2},
    )


class BodyBoosts(BaseModel):
    """Boosts in a body."""

    boosts: Annotated[list[BoostBody], items(MAX_BOOSTS)] = Field(
        default_factory=list, description="Factors by metadata, which multiply the scores."
    )

    def boost_records(self) -> tuple[Boost, ...]:
        """Return the searcher's records."""
        return tuple(each.record() for each in self.boosts)


class UrlBoosts(BaseModel):
    """Boosts in URL parameters."""

    boosts: Annotated[list[Text], items(MAX_BOOSTS)] = Field(
        default_factory=list,
        description='Factors by metadata, each as JSON: `{"filter": "in_stock", "weight": 1.5}`.',
    )

    def boost_records(self) -> tuple[Boost, ...]:
        """Return the searcher's records.  Raises BadQuery."""
        return parse_each_boost(self.boosts)
