"""The record of a boost: a condition or a field that multiplies scores."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from retrieval.errors import BadQuery

MAX_BOOSTS = 16  # of a search
MAX_SHOWN = 200  # characters of a wrong text in its error
MIN_WEIGHT, MAX_WEIGHT = 0.01, 100.0
VALUE_CURVES = ("value", "log1p")  # of a number, beside the greatest one
DECAY_CURVES = ("linear", "exponential", "gaussian")  # of the distance from an origin
_DECAY_OPTIONS = ("origin", "scale", "offset", "decay")


@dataclass(frozen=True, slots=True)
class Boost:
    """A boost by a filter, by the value of a field, or by its distance from an origin.

    `weight` is the factor of a score where the filter matches, or where the curve is 1: 2 doubles it, 0.5 halves it.
    search/boosts.py defines the curves, and which options belong together.
    """

    weight: float
    filter: str = ""
    field: str = ""
    curve: str = ""  # of VALUE_CURVES or DECAY_CURVES
    max: float | None = None  # value that counts 1; None: the greatest one of the collection
    origin: float | str | None = None  # a number, a date or "now"
    scale: float | str | None = None  # distance where the curve is `decay`; of dates a text such as "30d"
    offset: float | str | None = None  # distance up to which the curve is 1; None: 0
    decay: float | None = None  # None: 0.5

    @property
    def options(self) -> dict[str, float | str]:
        """The options that the boost has, by name."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in given.items() if value not in ("", None)}

    @property
    def condition(self) -> str:
        """The filter, or the curve and its field."""
        return self.filter or f"{self.curve}({self.field})"


def parse_boosts(text: str, weight: float | None = None) -> tuple[Boost, ...]:
    """Parse boosts from JSON: an object, or a list of objects.  Raises BadQuery.

    `weight` is that of a boost without one; None: each must have one.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadQuery(
            f'boost {text[:MAX_SHOWN]!r} is not JSON ({error}); write {{"filter": "in_stock", "weight": 1.5}}'
        ) from None
    return tuple(_boost_of(each, weight) for each in (given if isinstance(given, list) else [given]))


def parse_each_boost(texts: Iterable[str], weight: float | None = None) -> tuple[Boost, ...]:
    """Parse and check the boosts of several texts.  Raises BadQuery."""
    boosts = tuple(boost for text in texts for boost in parse_boosts(text, weight))
    check_boosts(boosts)
    return boosts


def _boost_of(given: Any, weight: float | None) -> Boost:
    if not isinstance(given, dict):
        raise BadQuery(f'a boost is {repr(given)[:MAX_SHOWN]}; write {{"filter": "in_stock", "weight": 1.5}}')
    known = [each.name for each in fields(Boost)]
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name[:MAX_SHOWN], known, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(known)}"
            raise BadQuery(f"a boost has no option {name[:MAX_SHOWN]!r}; {hint}")
    if "weight" not in given and weight is None:
        raise BadQuery("a boost has no weight; give the factor of the scores that it raises, such as 1.5")
    return Boost(**{"weight": weight, **given})


def check_boosts(boosts: Sequence[Boost]) -> None:
    """Raise BadQuery for too many boosts, and for options that contradict each other."""
    if len(boosts) > MAX_BOOSTS:
        raise BadQuery(f"the request has {len(boosts)} boosts; at most {MAX_BOOSTS} are allowed")
    for number, boost in enumerate(boosts):
        try:
            _check_boost(boost)
        except BadQuery as error:
            raise BadQuery(f"boosts[{number}]: {error}") from None


def finite_number(name: str, value: Any) -> float:
    """Return a number of a boost.  Raises BadQuery."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadQuery(f"{name} is {value!r}; give a number")
    return float(value)


def _check_boost(boost: Boost) -> None:
    _check_types(boost)
    if not MIN_WEIGHT <= finite_number("weight", boost.weight) <= MAX_WEIGHT:
        raise BadQuery(f"weight is {boost.weight}; give a factor from {MIN_WEIGHT} to {MAX_WEIGHT:g}, where 1 is none")
    if bool(boost.filter.strip()) == bool(boost.field):
        raise BadQuery("give either filter, or field and curve")
    if boost.filter:
        _refuse(boost, ("curve", "max", *_DECAY_OPTIONS), "a filter")
    elif boost.curve in VALUE_CURVES:
        _refuse(boost, _DECAY_OPTIONS, f"the curve {boost.curve}")
    elif boost.curve in DECAY_CURVES:
        _refuse(boost, ("max",), f"the curve {boost.curve}")
        if boost.scale is None:
            raise BadQuery(f"the curve {boost.curve} needs scale, the distance from the origin where it is decay")
    else:
        raise BadQuery(f"curve is {boost.curve!r}; it is {', '.join((*VALUE_CURVES, *DECAY_CURVES))}")
    if boost.max is not None and finite_number("max", boost.max) <= 0.0:
        raise BadQuery(f"max is {boost.max}; give a number above 0")
    if boost.decay is not None and not 0.0 < finite_number("decay", boost.decay) < 1.0:
        raise BadQuery(f"decay is {boost.decay}; give a number between 0 and 1")


def _check_types(boost: Boost) -> None:
    for name in ("filter", "field", "curve"):
        if not isinstance(getattr(boost, name), str):
            raise BadQuery(f"{name} is {getattr(boost, name)!r}; give a text")
    for name in ("origin", "scale", "offset"):
        value = getattr(boost, name)
        if value is not None and not isinstance(value, str):
            finite_number(name, value)


def _refuse(boost: Boost, names: Sequence[str], what: str) -> None:
    for name in names:
        if getattr(boost, name) not in ("", None):
            raise BadQuery(f"{what} has no {name}; leave it out")
