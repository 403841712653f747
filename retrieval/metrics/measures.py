"""Measures: named as ir-measures names them, computed by ir-measures.

A measure is written `Name(parameter=value, …)@cutoff`, such as `nDCG@10`, `P(rel=2)@5` or `AP`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadMeasure, MissingExtra
from retrieval.metrics.runs import Qrels, RankedDocuments

if TYPE_CHECKING:
    from ir_measures import Measure

DEFAULT_MEASURES = "nDCG@10 R@100 RR@10 AP"
DEFAULT_DEPTH = 1000  # hits to ask for where a measure has no cut-off, as TREC and BEIR do
ASPECT_MEASURES = ("alpha_DCG", "alpha_nDCG", "ERR_IA", "nERR_IA", "NRBP", "nNRBP", "AP_IA", "P_IA", "StRecall")

QueryValues: TypeAlias = NDArray[np.float64]  # (queries,), one value a query

_GRAMMAR = re.compile(r"\s*([^\W\d]\w*)\s*(?:\((.*)\))?\s*(?:@\s*(\S+))?\s*", re.DOTALL)
_BETWEEN = re.compile(r"[\s,]+(?![^({]*[)}])")  # space or comma outside brackets


@dataclass(frozen=True, slots=True)
class MeasureValues:
    """One measure's value for each query, and the figure that sums them up (their mean; the sum of a count)."""

    measure: str
    per_query: QueryValues
    aggregate: float


def parse_measures(text: str) -> tuple[Measure, ...]:
    """Measures of a list such as `nDCG@10 R@100, P(rel=2)@5`, without repetitions.  Raises BadMeasure."""
    names = [name for name in _BETWEEN.split(text.strip()) if name]
    if not names:
        raise BadMeasure("no measure is named; try nDCG@10")
    return tuple(dict.fromkeys(parse_measure(name) for name in names))


def parse_measure(text: str) -> Measure:
    """One measure.  BadMeasure says which part is wrong."""
    from ir_measures.measures import registry

    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise BadMeasure(f"measure {text!r} cannot be read; write Name(parameter=value)@cutoff, such as nDCG@10")
    name, arguments, cutoff = match.groups()
    if name not in registry:
        close = ", ".join(sorted(each for each in registry if each.lower()[:2] == name.lower()[:2]))
        hint = f"did you mean one of {close}?" if close else "https://ir-measur.es lists them"
        raise BadMeasure(f"there is no measure {name!r}; {hint}")
    parameters = _parameters(text, arguments or "")
    if cutoff is not None:
        parameters[registry[name].AT_PARAM] = _literal(text, cutoff)
    measure = registry[name](**parameters)
    missing = [key for key, info in measure.SUPPORTED_PARAMS.items() if info.required and key not in parameters]
    if missing:
        raise BadMeasure(f"measure {text!r} needs {', '.join(missing)}; its parameters: {_described(measure)}")
    try:
        measure.validate_params()
    except AssertionError as error:
        raise BadMeasure(f"measure {text!r}: {error}") from error
    if any(isinstance(value, int) and value < 1 for key, value in parameters.items() if key == "cutoff"):
        raise BadMeasure(f"measure {text!r}: the cut-off must be 1 or more")
    return measure


def depth_needed(measures: Sequence[Measure]) -> int:
    """How many hits a query must give for every measure to be true."""
    return max(int(measure.params.get("cutoff", DEFAULT_DEPTH)) for measure in measures)


def compute_measures(
    measures: Sequence[Measure], qrels: Qrels, queries: Sequence[str], rankings: Mapping[str, RankedDocuments]
) -> tuple[MeasureValues, ...]:
    """Each measure for each of `queries`, in the order given.  A query without a ranking scores as one without hits.

    What ir-measures sees are place numbers for scores and for query ids: every provider of it then agrees on the
    order, whatever it does with ties, and no id can break the files that some of them write.
    """
    import ir_measures

    _require_available(measures)
    places = {query: str(place) for place, query in enumerate(queries, start=1)}
    answered = [query for query in queries if query in rankings and len(rankings[query])]  # trec_eval knows no others
    table = {places[query]: _descending(rankings[query]) for query in answered}
    values = {measure: np.full(len(queries), float(measure.DEFAULT)) for measure in measures}
    for group in (_plain(measures), _by_aspect(measures)):
        if not group or not table:
            continue
        judged: Any = _aspects(qrels, places) if group[0].NAME in ASPECT_MEASURES else _judged(qrels, places)
        try:
            results = ir_measures.evaluator(group, judged).iter_calc(table)
            for result in results:
                values[result.measure][int(result.query_id) - 1] = result.value
        except (CalledProcessError, ValueError, TypeError, AssertionError) as error:
            names = ", ".join(map(str, group))
            raise BadMeasure(f"ir-measures cannot compute {names}: {error}") from error
    return tuple(
        MeasureValues(str(measure), values[measure], aggregate_values(measure, values[measure])) for measure in measures
    )


def aggregate_values(measure: Measure, values: QueryValues) -> float:
    """The one figure of a measure: the mean over the queries, or their sum where the measure counts."""
    aggregate = measure.aggregator()
    for value in values.tolist():
        aggregate.add(value)
    return float(aggregate.result())


def _descending(ranking: RankedDocuments) -> dict[str, float]:
    return dict(zip(ranking.ids, map(float, range(len(ranking), 0, -1)), strict=True))


def _judged(qrels: Qrels, places: Mapping[str, str]) -> dict[str, dict[str, int]]:
    return {place: dict(qrels.judgments[query]) for query, place in places.items()}


def _aspects(qrels: Qrels, places: Mapping[str, str]) -> list[Any]:
    from ir_measures import Qrel

    if not qrels.subtopics:
        raise BadMeasure("measures of diversity need judgments for several aspects (the second field of TREC qrels)")
    return [
        Qrel(places[each.query], each.document, each.relevance, each.aspect)
        for each in qrels.subtopics
        if each.query in places
    ]


def _plain(measures: Sequence[Measure]) -> list[Measure]:
    return [measure for measure in measures if measure.NAME not in ASPECT_MEASURES]


def _by_aspect(measures: Sequence[Measure]) -> list[Measure]:
    return [measure for measure in measures if measure.NAME in ASPECT_MEASURES]


def _require_available(measures: Sequence[Measure]) -> None:
    import ir_measures

    for measure in measures:
        able = [each for each in ir_measures.DefaultPipeline.providers if each.supports(measure)]
        if not able:
            raise BadMeasure(f"ir-measures cannot compute {measure}; it may need a parameter: {_described(measure)}")
        if not any(each.is_available() for each in able):
            raise MissingExtra("measures", f"the measure {measure}")


def _described(measure: Measure) -> str:
    return ", ".join(f"{name} ({info.desc})" for name, info in measure.SUPPORTED_PARAMS.items())


def _parameters(text: str, arguments: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
    except SyntaxError as error:
        raise BadMeasure(f"measure {text!r}: {arguments!r} is not a list of name=value") from error
    if not isinstance(call, ast.Call) or call.args or any(each.arg is None for each in call.keywords):
        raise BadMeasure(f"measure {text!r}: parameters are written name=value")
    return {str(each.arg): _literal(text, ast.unparse(each.value)) for each in call.keywords}


def _literal(text: str, value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise BadMeasure(f"measure {text!r}: {value!r} is no value") from error
