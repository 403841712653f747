"""Measures equal trec_eval's; denominators, slices, gates and intervals are right."""

from __future__ import annotations

import math

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import BadJudgments, BadMeasure, InputError
from retrieval.metrics.evaluation import check_gates, confidence_intervals, evaluate, parse_gate, slice_topics
from retrieval.metrics.files import write_run
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.runs import Qrels, RetrievalRun, SubtopicJudgment, Topic, make_ranking, make_run
from retrieval.util.intervals import wilson_interval

documents = st.integers(0, 12).map("d{}".format)
queries = st.integers(0, 5).map("q{}".format)
coarse = st.integers(0, 4).map(float)  # many ties
close = st.floats(0, 1, allow_nan=False)  # some differ by less than a 32-bit float tells
runs = st.dictionaries(queries, st.dictionaries(documents, coarse | close, max_size=12), min_size=1)
judgments = st.dictionaries(queries, st.dictionaries(documents, st.integers(0, 3), min_size=1), min_size=1)

TREC = {
    "nDCG@3": "ndcg_cut_3",
    "nDCG": "ndcg",
    "R@5": "recall_5",
    "P@7": "P_7",
    "AP": "map",
    "AP@4": "map_cut_4",
    "RR": "recip_rank",
    "Rprec": "Rprec",
    "Bpref": "bpref",
    "Success@1": "success_1",
}


@settings(max_examples=150, deadline=None)
@given(run=runs, qrels=judgments)
def test_every_value_is_trec_evals(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    if not set(run) & set(qrels):
        return
    found = evaluate(make_run("r", run), Qrels("q", qrels), " ".join(TREC))
    answered = {query: documents for query, documents in run.items() if documents}  # trec_eval has no empty rankings
    expected = pytrec_eval.RelevanceEvaluator(qrels, set(TREC.values())).evaluate(answered)
    for query, values in found.per_query().items():
        for name, trec in TREC.items():
            assert values[name] == pytest.approx(expected.get(query, {}).get(trec, 0.0), abs=1e-9)
    for name, values in found.values.items():
        assert values.aggregate == pytest.approx(sum(values.per_query) / len(qrels), abs=1e-12), name


@settings(max_examples=100, deadline=None)
@given(run=runs, qrels=judgments, cutoff=st.integers(1, 12))
def test_measures_from_other_providers_follow_the_same_order(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], cutoff: int
) -> None:
    if not set(run) & set(qrels):
        return
    made = make_run("r", run)
    found = evaluate(made, Qrels("q", qrels), f"RR@{cutoff} Judged@{cutoff}").per_query()
    for query, values in found.items():
        top = made.rankings[query].ids[:cutoff] if query in made.rankings else ()
        places = [place for place, document in enumerate(top, start=1) if qrels[query].get(document, 0) > 0]
        assert values[f"RR@{cutoff}"] == pytest.approx(1 / places[0] if places else 0.0)
        judged = sum(document in qrels[query] for document in top)
        assert values[f"Judged@{cutoff}"] == pytest.approx(judged / len(top) if top else 0.0)


def test_what_is_counted_as_zero_and_what_is_left_aside() -> None:
    run = make_run(
        "r", {"found": {"a": 2.0, "b": 1.0}, "nobody judged": {"a": 1.0}, "empty": {}, "no answer": {"b": 1.0}}
    )
    qrels = Qrels("q", {"found": {"a": 1}, "missing": {"a": 1}, "empty": {"a": 1}, "no answer": {"a": 0}})
    evaluation = evaluate(run, qrels, "RR@10")
    assert evaluation.aggregates == {"RR@10": 0.25}
    coverage = evaluation.coverage
    assert (coverage.averaged, coverage.without_results, coverage.without_relevant) == (4, 2, 1)
    assert (coverage.unjudged, coverage.not_asked) == (1, 0)
    assert coverage.judged_at_10 == pytest.approx(1 / 3)


def test_only_what_was_asked_is_averaged() -> None:
    run = make_run("r", {"q1": {"a": 1.0}})
    evaluation = evaluate(run, Qrels("q", {"q1": {"a": 1}, "q2": {"a": 1}}), "RR@10", asked={"q1", "q3"})
    assert evaluation.aggregates == {"RR@10": 1.0}
    assert (evaluation.coverage.averaged, evaluation.coverage.not_asked, evaluation.coverage.unjudged) == (1, 1, 1)


def test_the_order_given_is_the_order_measured() -> None:
    run = RetrievalRun(
        "r", {"q": make_ranking(["b", "a"], [1.0, 1.0])}
    )  # by trec_eval's rule for ties b would come first, too
    turned = RetrievalRun("r", {"q": make_ranking(["a", "b"], [1.0, 1.0])})
    qrels = Qrels("q", {"q": {"a": 1}})
    assert evaluate(run, qrels, "RR@10").aggregates == {"RR@10": 0.5}
    assert evaluate(turned, qrels, "RR@10").aggregates == {"RR@10": 1.0}


def test_counts_are_summed() -> None:
    run = make_run("r", {"1": {"a": 1.0}, "2": {"a": 1.0, "b": 2.0}})
    assert evaluate(run, Qrels("q", {"1": {"a": 1}, "2": {"a": 1}}), "NumRet NumQ").aggregates == {
        "NumRet": 3.0,
        "NumQ": 2.0,
    }


def test_ids_disjoint_is_an_error_that_shows_both() -> None:
    with pytest.raises(BadJudgments, match="the run has 'q1', the judgments '1'"):
        evaluate(make_run("r", {"q1": {"a": 1.0}}), Qrels("q", {"1": {"a": 1}}), "AP")


def test_diversity_measures_use_aspects() -> None:
    aspects = (SubtopicJudgment("q", "a", "1", 1), SubtopicJudgment("q", "b", "2", 1))
    qrels = Qrels("q", {"q": {"a": 1, "b": 1}}, aspects)
    run = make_run("r", {"q": {"a": 3.0, "c": 2.0, "b": 1.0}})
    figures = evaluate(run, qrels, "StRecall@1 StRecall@3 alpha_nDCG@3 P@3").aggregates
    assert figures["StRecall@1"] == pytest.approx(0.5)
    assert figures["StRecall@3"] == pytest.approx(1.0)
    assert 0 < figures["alpha_nDCG@3"] < 1
    with pytest.raises(BadMeasure, match="several aspects"):
        evaluate(run, Qrels("q", {"q": {"a": 1}}), "alpha_nDCG@3")


FAMILIES = """nDCG(dcg='exp-log2')@10 P(rel=2)@5 RBP(rel=1,p=0.9) ERR@10 Compat(p=0.9) infAP IPrec@0.1 SetF(beta=0.5)
nDCG(gains={1:5,2:9})@3 INST(max_rel=3) Accuracy nDCG(judged_only=True)@5 NumRel Judged@1"""


@pytest.mark.parametrize("name", FAMILIES.split())
def test_every_family_of_measures_can_be_named(name: str) -> None:
    run = make_run("r", {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}})
    figures = evaluate(run, Qrels("q", {"q1": {"a": 0, "b": 2}}), name).aggregates
    (figure,) = figures.values()
    assert math.isfinite(figure)


def test_aliases_are_named_as_ir_measures_names_them() -> None:
    assert [str(each) for each in parse_measures("NDCG@10, MAP MRR@5  Recall@3 MAP")] == [
        "nDCG@10",
        "AP",
        "RR@5",
        "R@3",
    ]


def test_depth_is_what_the_deepest_measure_needs() -> None:
    assert depth_needed(parse_measures("nDCG@10 R@100")) == 100
    assert depth_needed(parse_measures("nDCG@10 AP")) == 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no measure is named"),
        ("nDGC@10", "did you mean"),
        ("nDCG@ten", "'ten' is no value"),
        ("nDCG@0", "must be 1 or more"),
        ("nDCG(depth=3)@10", "unsupported params"),
        ("P(2)@10", "write parameters as name=value"),
        ("nDCG@10@5", "cannot be read|no value"),
        ("RBP", "may need a parameter: .*rel"),
        ("INST", "needs max_rel"),
        ("AP(rel=0)", "cannot compute AP"),
    ],
)
def test_unusable_measures_are_named(name: str, message: str) -> None:
    run = make_run("r", {"q": {"a": 1.0}})
    with pytest.raises(BadMeasure, match=message):
        evaluate(run, Qrels("q", {"q": {"a": 1}}), name)


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations([f"d{i}" for i in range(8)]),
    scores=st.lists(st.sampled_from([0.5, 0.5 + 1e-9, 0.25, -1.0]), min_size=8, max_size=8),
    relevant=st.sets(st.integers(0, 7).map("d{}".format), min_size=1),
)
def test_a_written_run_means_the_same_to_trec_eval(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], scores: list[float], relevant: set[str]
) -> None:
    run = RetrievalRun("r", {"q": make_ranking(order, sorted(scores, reverse=True))})
    qrels = {"q": dict.fromkeys(relevant, 1)}
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_run(run, path)
    lines = (line.split() for line in path.read_text().splitlines())
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "ndcg"}).evaluate({"q": {f[2]: float(f[4]) for f in lines}})
    ours = evaluate(run, Qrels("q", qrels), "AP nDCG").aggregates
    assert ours["AP"] == pytest.approx(theirs["q"]["map"], abs=1e-9)
    assert ours["nDCG"] == pytest.approx(theirs["q"]["ndcg"], abs=1e-9)


def test_gates() -> None:
    gates = [parse_gate("nDCG@10=0.70"), parse_gate("P(rel=2)@5=0.1")]
    results = check_gates(gates, {"nDCG@10": 0.69, "P(rel=2)@5": 0.1})
    assert [(each.passed, str(each)) for each in results] == [
        (False, "nDCG@10 0.6900 is below 0.7"),
        (True, "P(rel=2)@5 0.1000 reaches 0.1"),
    ]
    with pytest.raises(InputError, match="write measure=minimum"):
        parse_gate("nDCG@10")


def test_slices() -> None:
    topics = [
        Topic(str(i), "x" * (i + 1), {"kind": "even" if i % 2 == 0 else "odd", "year": str(2000 + i)})
        for i in range(30)
    ]
    assert {label: len(ids) for label, ids in slice_topics(topics, "kind").items()} == {"even": 15, "odd": 15}
    for by in ("length", "year"):
        groups = slice_topics(topics, by)
        assert [len(ids) for ids in groups.values()] == [10, 10, 10]
        assert frozenset().union(*groups.values()) == {topic.id for topic in topics}
    with pytest.raises(InputError, match="no field 'place' to slice by; there is: length, kind, year"):
        slice_topics(topics, "place")


def test_intervals_are_wilsons_for_yes_or_no_values_and_none_for_counts() -> None:
    run = make_run("r", {"1": {"a": 1.0}, "2": {"b": 1.0}})
    evaluation = evaluate(run, Qrels("q", {"1": {"a": 1}, "2": {"a": 1}}), "P@1 NumRet")
    intervals = confidence_intervals(evaluation)
    assert intervals == {"P@1": pytest.approx(wilson_interval(0.5, 2))}
