"""Gates for other people's pipelines: a figure that must be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retrieval.errors import InputError
from retrieval.metrics.measures import parse_measure


@dataclass(frozen=True, slots=True)
class Gate:
    """The least value of a measure."""

    measure: str
    least: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found."""

    gate: Gate
    value: float

    @property
    def passed(self) -> bool:
        """Whether the figure reached the least value."""
        return self.value >= self.gate.least

    def __str__(self) -> str:
        relation = "reaches" if self.passed else "is below"
        return f"{self.gate.measure} {self.value:.4f} {relation} {self.gate.least:g}"


def parse_gate(text: str) -> Gate:
    """A gate written `nDCG@10=0.70`.  Raises InputError and BadMeasure."""
    name, sign, least = text.rpartition("=")
    try:
        value = float(least)
    except ValueError:
        value = math.nan
    if not sign or math.isnan(value):
        raise InputError(f"gate {text!r} cannot be read; write measure=least, such as nDCG@10=0.70")
    return Gate(str(parse_measure(name)), value)


def check_gates(gates: Sequence[Gate], figures: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Each gate against the figures, which must hold its measure."""
    return tuple(GateResult(gate, figures[gate.measure]) for gate in gates)
