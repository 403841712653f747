"""Measures, named and computed by the library ir-measures.

A measure is written `Name(parameter=value, …)@cutoff`, such as `nDCG@10`, `P(rel=2)@5` or `AP`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
DEFAULT_DEPTH = 1000  # hits to request if a measure has no cut-off, as TREC and BEIR do
POOL_MEASURES = ("infAP",)  # these tell a document of the pool that is not judged from one outside the pool
COUNTS: Mapping[str, Callable[[Measure, Mapping[str, int]], int]] = {  # of the judgments alone, hits or none
    "NumQ": lambda *_: 1,
    "NumRel": lambda measure, judged: sum(value >= measure["rel"] for value in judged.values()),
}
ASPECT_MEASURES = ("alpha_DCG", "alpha_nDCG", "ERR_IA", "nERR_IA", "NRBP", "nNRBP", "AP_IA", "P_IA", "StRecall")

QueryValues: TypeAlias = NDArray[np.float64]  # (queries,), one value per query

_GRAMMAR = re.compile(r"\s*([^\W\d]\w*)\s*(?:\((.*)\))?\s*(?:@\s*(\S+))?\s*", re.DOTALL)
_SEPARATOR = re.compile(r"[\s,]+(?![^({]*[)}])")  # spaces or commas outside brackets


@dataclass(frozen=True, slots=True)
class MeasureValues:
    """The values of a measure by query, and their mean (the sum if it is a count)."""

    measure: str
    per_query: QueryValues
    aggregate: float


def parse_measures(text: str) -> tuple[Measure, ...]:
    """Parse a list such as `nDCG@10 R@100`; drop repetitions.  Raises BadMeasure."""
    names = [name for name in _SEPARATOR.split(text.strip()) if name]
    if not names:
        raise BadMeasure("no measure is named; try nDCG@10")
    return tuple(dict.fromkeys(parse_measure(name) for name in names))


def parse_measure(text: str) -> Measure:
    """Parse one measure.  Raises BadMeasure, which names the wrong part."""
    from ir_measures.measures import registry

    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise BadMeasure(f"measure {text!r} cannot be parsed; write Name(parameter=value)@cutoff, such as nDCG@10")
    name, arguments, cutoff = match.groups()
    if name not in registry:
        close = ", ".join(sorted(known for known in registry if known.lower()[:2] == name.lower()[:2]))
        hint = f"did you mean one of {close}?" if close else "https://ir-measur.es lists all measures"
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
    """Return how many hits a query needs, so that every measure is exact."""
    return max(int(measure.params.get("cutoff", DEFAULT_DEPTH)) for measure in measures)


def compute_measures(
    measures: Sequence[Measure], qrels: Qrels, queries: Sequence[str], rankings: Mapping[str, RankedDocuments]
) -> tuple[MeasureValues, ...]:
    """Compute each measure for each of `queries`, in the order given.

    A query without a ranking has the value of a query without hits.  ir-measures gets ranks as scores and numbers as
    query ids.  So all its providers see the same order, however they treat ties, and no id breaks the files that some
    providers write.
    """
    import ir_measures

    computed = [measure for measure in measures if measure.NAME not in COUNTS]
    _require_available(computed)
    numbers = {query: str(number) for number, query in enumerate(queries, start=1)}
    answered = [query for query in queries if query in rankings and len(rankings[query])]  # trec_eval needs hits
    table = {numbers[query]: _ranks_as_scores(rankings[query]) for query in answered}
    values = {measure: _without_hits(measure, qrels, queries) for measure in measures}
    for group, judged in _groups(computed, qrels, numbers) if table else ():
        try:
            results = ir_measures.evaluator(group, judged).iter_calc(table)
            for result in results:
                values[result.measure][int(result.query_id) - 1] = result.value
        except (CalledProcessError, ValueError, TypeError, AssertionError) as error:
            names = ", ".join(map(str, group))
            raise BadMeasure(f"ir-measures cannot compute {names} ({error}); choose other measures") from error
    return tuple(
        MeasureValues(str(measure), values[measure], aggregate_values(measure, values[measure])) for measure in measures
    )


def _without_hits(measure: Measure, qrels: Qrels, queries: Sequence[str]) -> QueryValues:
    """Return the value of a query without hits; for counts, that of all queries."""
    count = COUNTS.get(measure.NAME)
    if count is None:
        return np.full(len(queries), float(measure.DEFAULT))
    return np.array([count(measure, qrels.judged(query)) for query in queries], dtype=np.float64)


def _groups(
    measures: Sequence[Measure], qrels: Qrels, numbers: Mapping[str, str]
) -> Iterator[tuple[list[Measure], Any]]:
    """Yield measures that need the same form of the judgments, and this form."""
    forms: tuple[tuple[Callable[[str], bool], Callable[[], Any]], ...] = (
        (ASPECT_MEASURES.__contains__, lambda: _aspects(qrels, numbers)),
        (POOL_MEASURES.__contains__, lambda: {numbers[query]: dict(qrels.judgments[query]) for query in numbers}),
        (lambda _: True, lambda: {numbers[query]: qrels.judged(query) for query in numbers}),
    )
    waiting = list(measures)
    for takes, judged in forms:
        group = [measure for measure in waiting if takes(measure.NAME)]
        waiting = [measure for measure in waiting if measure not in group]
        if group:
            yield group, judged()


def aggregate_values(measure: Measure, values: QueryValues) -> float:
    """Return the mean of the values, or their sum if the measure is a count."""
    aggregate = measure.aggregator()
    for value in values.tolist():
        aggregate.add(value)
    return float(aggregate.result())


def _ranks_as_scores(ranking: RankedDocuments) -> dict[str, float]:
    return dict(zip(ranking.ids, map(float, range(len(ranking), 0, -1)), strict=True))


def _aspects(qrels: Qrels, numbers: Mapping[str, str]) -> list[Any]:
    from ir_measures import Qrel

    if not qrels.subtopics:
        raise BadMeasure(
            "diversity measures need judgments of several aspects: TREC qrels with aspects in the second field"
        )
    return [
        Qrel(numbers[judgment.query], judgment.document, judgment.relevance, judgment.aspect)
        for judgment in qrels.subtopics
        if judgment.query in numbers
    ]


def _require_available(measures: Sequence[Measure]) -> None:
    import ir_measures

    for measure in measures:
        providers = [each for each in ir_measures.DefaultPipeline.providers if each.supports(measure)]
        if not providers:
            raise BadMeasure(f"ir-measures cannot compute {measure}; it may need a parameter: {_described(measure)}")
        if not any(provider.is_available() for provider in providers):
            raise MissingExtra("measures", f"the measure {measure}")


def _described(measure: Measure) -> str:
    return ", ".join(f"{name} ({info.desc})" for name, info in measure.SUPPORTED_PARAMS.items())


def _parameters(text: str, arguments: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
    except SyntaxError as error:
        raise BadMeasure(f"measure {text!r}: {arguments!r} is not a list of parameters; write name=value, …") from error
    if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
        raise BadMeasure(f"measure {text!r}: write parameters as name=value")
    return {str(keyword.arg): _literal(text, ast.unparse(keyword.value)) for keyword in call.keywords}


def _literal(text: str, value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise BadMeasure(f"measure {text!r}: {value!r} is no value; write a number or a quoted string") from error
