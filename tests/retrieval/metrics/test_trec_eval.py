"""Every value that trec_eval 9.0.8 prints for its own test data is ours, to the printed digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrieval.metrics.evaluation import Evaluation, evaluate
from retrieval.metrics.files import read_qrels, read_run
from retrieval.metrics.runs import Qrels, RankedDocuments, RetrievalRun, make_run

COUNTED = {"num_q": "NumQ", "num_ret": "NumRet", "num_rel": "NumRel({rel})", "num_rel_ret": "NumRet({ret})"}
PLAIN = {
    "map": "AP({rel})",
    "Rprec": "Rprec({rel})",
    "bpref": "Bpref({rel})",
    "recip_rank": "RR({rel})",
    "infAP": "infAP({rel})",
    "ndcg": "nDCG",
    "set_P": "SetP({rel})",
    "set_recall": "SetR({rel})",
    "set_relative_P": "SetP({rel},relative=True)",
    "set_map": "SetAP({rel})",
    "set_F": "SetF({rel})",
}
CUT = {
    "P": "P({rel})@{cut}",
    "recall": "R({rel})@{cut}",
    "map_cut": "AP({rel})@{cut}",
    "ndcg_cut": "nDCG@{cut}",
    "success": "Success({rel})@{cut}",
    "iprec_at_recall": "IPrec({rel})@{cut}",
}


@dataclass(frozen=True)
class Printed:
    """A file of printed values, and what trec_eval was called with."""

    values: str
    qrels: str = "qrels.test"
    run: str = "results.test"
    depth: int = 1_000_000  # -M
    rel: int = 1  # -l


FILES = [
    Printed("out.test"),
    Printed("out.test.a"),
    Printed("out.test.aq"),
    Printed("out.test.aqc", run="results.trunc"),
    Printed("out.test.aqcM", run="results.trunc", depth=100),
    Printed("out.test.aql", qrels="qrels.rel_level", rel=2),
    Printed("out.test.meas_params"),
    Printed("out.test.aq", qrels="qrels.test.with-comments"),
]


def measure_of(name: str, rel: int) -> str | None:
    """Return our name of a printed measure; None if ir-measures has none."""
    found = re.fullmatch(r"(?P<name>.+)_(?P<cut>[0-9.]+)", name)
    known = {**COUNTED, **PLAIN}.get(name) or (CUT.get(found["name"]) if found else None)
    if known is None:
        return None
    cut = found["cut"] if found else ""
    return known.format(rel=f"rel={rel}", ret=f"rel={rel}", cut=float(cut) if "." in cut else cut)


def cut_run(run: RetrievalRun, depth: int) -> RetrievalRun:
    rankings = {q: RankedDocuments(r.ids[:depth], r.scores[:depth]) for q, r in run.rankings.items()}
    return RetrievalRun(run.name, rankings)


@pytest.mark.parametrize("printed", FILES, ids=lambda printed: f"{printed.values}-{printed.qrels}")
def test_every_printed_value_is_ours(shared_data: Path, printed: Printed) -> None:
    folder = shared_data / "trec_eval"
    if not folder.is_dir():
        pytest.skip(f"needs trec_eval's test data, and {folder} is not there")
    lines = [line.split() for line in (folder / printed.values).read_text().splitlines()]
    names = {name: measure for name, _, _ in lines if (measure := measure_of(name, printed.rel)) is not None}
    run = cut_run(read_run(folder / printed.run), printed.depth)
    found = evaluate(run, read_qrels(folder / printed.qrels), " ".join(names.values()))
    keys = dict(zip(dict.fromkeys(names.values()), found.values, strict=True))
    wrong, compared = [], 0
    for name, query, value in lines:
        if name in names:
            compared += 1
            ours = value_of(found, keys[names[name]], query)
            if (f"{ours:.0f}" if name in COUNTED else f"{ours:.4f}") != value:
                wrong.append((name, query, value, ours))
    assert not wrong
    assert compared >= 18


def value_of(found: Evaluation, measure: str, query: str) -> float:
    return found.aggregates[measure] if query == "all" else found.per_query()[query][measure]


def test_queries_without_hits_count_in_the_counts() -> None:
    """As with trec_eval's -c: a judged query that the run lacks is a query, and has its relevant documents."""
    qrels = Qrels("q", {"1": {"a": 1, "b": 2, "c": 0, "d": -1}, "2": {"a": 1, "b": 2}, "3": {"a": 0}})
    found = evaluate(
        make_run("r", {"1": {"a": 2.0, "x": 1.0}}), qrels, "NumQ NumRet NumRel NumRel(rel=2) NumRet(rel=1)"
    )
    assert list(found.aggregates.values()) == [3, 2, 4, 2, 1]
    assert [value["NumRel"] for value in found.per_query().values()] == [2, 2, 0]


def test_a_negative_relevance_is_not_judged() -> None:
    """Worked by hand: of a, x, b, c only b (relevant) and c (not relevant) are judged."""
    qrels = Qrels("q", {"1": {"a": -1, "b": 1, "c": 0, "y": -2}, "2": {"a": -1}})
    run = make_run("r", {"1": {"a": 4.0, "x": 3.0, "b": 2.0, "c": 1.0}, "2": {"a": 1.0}})
    found = evaluate(run, qrels, "Judged@4 nDCG(judged_only=True)@1 Bpref RR AP NumRel")
    assert found.per_query()["1"] == {
        "Judged@4": 0.5,
        "nDCG(judged_only=True)@1": 1.0,
        "Bpref": 1.0,
        "RR": pytest.approx(1 / 3),
        "AP": pytest.approx(1 / 3),
        "NumRel": 1.0,
    }
    assert set(found.per_query()["2"].values()) == {0.0}
    assert (found.coverage.averaged, found.coverage.without_relevant) == (2, 1)
    assert found.coverage.judged_at_10 == pytest.approx(2 / 5)


def test_infap_tells_pool_documents_that_are_not_judged_from_others() -> None:
    """Rank 2: relevant. Above it one document of the pool: of those judged above, none is relevant."""
    run = make_run("r", {"1": {"a": 2.0, "b": 1.0}})
    inside = evaluate(run, Qrels("q", {"1": {"a": -1, "b": 1}}), "infAP").aggregates["infAP"]
    outside = evaluate(run, Qrels("q", {"1": {"b": 1}}), "infAP").aggregates["infAP"]
    assert inside == pytest.approx(1 / 2 + 1 / 2 * 1 * 0.5, abs=1e-3)
    assert outside == pytest.approx(1 / 2, abs=1e-3)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_comments_and_further_fields_are_left_out(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run", "# made today\n1 Q0 a 1 2.5 tag more junk\n  # a pause\n1 Q0 b 2 1.5 tag\n#1 Q0 c 3 1 t\n"
    )
    assert read_run(run).rankings["1"].ids == ("a", "b")
    assert read_run(run).name == "tag"
    qrels = write(tmp_path / "qrels", "# topics 1 to 2\n1 0 a 1\n# 1 0 b 1\n1 0 c -1\n")
    assert read_qrels(qrels).judgments == {"1": {"a": 1, "c": -1}}
    table = write(tmp_path / "qrels.tsv", "query-id\tcorpus-id\tscore\n#1\t#a\t1\n")  # ids of BEIR may begin so
    assert read_qrels(table).judgments == {"#1": {"#a": 1}}
