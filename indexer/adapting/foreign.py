"""A foreign task against forgetting: questions about Python's standard library.

The documents are docstrings of the running interpreter: those of the judged names, and of other names of their modules.
An encoder that is adapted to other documents should still answer these questions.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from indexer.adapting.held_out import PassagePool
from indexer.adapting.pairs import TrainingPassage
from retrieval.metrics.runs import Qrels
from retrieval.metrics.tasks import TaskSource, make_task, read_task

QUESTIONS = Path(__file__).parent / "questions"
MAX_CHARACTERS = 400  # of a docstring
OTHERS_PER_MODULE = 6


def foreign_pool(*, bf16: bool) -> PassagePool:
    """Return the questions and their documents."""
    task = read_task(TaskSource(queries=QUESTIONS / "queries.jsonl", qrels=QUESTIONS / "qrels.tsv"))
    names = sorted({name for grades in task.qrels.judgments.values() for name in grades})
    documents = {name: text for name in names if (text := _docstring(name))}
    for module in sorted({found for name in documents if (found := _module_name(name))}):
        others = [f"{module}.{name}" for name in sorted(vars(importlib.import_module(module))) if name[0] != "_"]
        fresh = [name for name in others if name not in documents][:OTHERS_PER_MODULE]
        documents |= {name: text for name in fresh if (text := _docstring(name))}
    judged = {
        query: {name: grade for name, grade in grades.items() if name in documents}
        for query, grades in task.qrels.judgments.items()
    }
    kept = {query: grades for query, grades in judged.items() if grades}
    passages = [TrainingPassage(name, f"{name} {text[:MAX_CHARACTERS]}") for name, text in documents.items()]
    return PassagePool(make_task("standard library", task.topics, Qrels("questions", kept)), passages, bf16=bf16)


def _docstring(name: str) -> str:
    """Return the docstring of a name such as `str.rstrip`; "" if there is none."""
    module = _module_name(name)
    value: object = importlib.import_module(module or "builtins")
    for part in name.removeprefix(module).strip(".").split("."):
        value = getattr(value, part, None) if part else value
    return inspect.getdoc(value) or "" if value is not None else ""


def _module_name(name: str) -> str:
    """Return the longest prefix of a name that is a module; "" for a built-in name."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        candidate = ".".join(parts[:count])
        try:
            importlib.import_module(candidate)
        except ImportError:
            continue
        return candidate
    return ""
