"""The protocols of others, spoken by their own clients."""

from __future__ import annotations

import asyncio
import base64
import math
from typing import Any

import httpx
import numpy as np
import pytest

from service.runtime.encoder_registry import EncoderRegistry
from tests.service.conftest import Served

TEXTS = ["Aspirin lowers the risk of stroke.", "A cat sleeps.", "größer als gedacht"]
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
NEAR = 5e-3  # what batching may change in low precision


@pytest.fixture(scope="module")
def vectors(encoders: EncoderRegistry) -> np.ndarray[Any, Any]:
    """Return the encoder's own vectors for TEXTS."""
    return encoders.get("all-MiniLM-L6-v2").encode_passages(TEXTS)


class TestOpenAI:
    @pytest.fixture
    def client(self, small: Served) -> Any:
        import openai

        with openai.OpenAI(base_url=f"{small.url}/v1", api_key="any", max_retries=0) as client:
            yield client

    @pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}], ids=str)
    def test_embeddings(self, client: Any, vectors: np.ndarray[Any, Any], form: dict[str, str]) -> None:
        found = client.embeddings.create(model=MODEL, input=TEXTS, **form)
        got = [each.embedding for each in found.data]
        if form.get("encoding_format") == "base64":
            got = [np.frombuffer(base64.b64decode(each), "<f4") for each in got]
        np.testing.assert_allclose(np.array(got), vectors, atol=NEAR)
        assert [each.index for each in found.data] == [0, 1, 2]
        assert found.usage.prompt_tokens == found.usage.total_tokens > 10

    def test_dimensions_are_cut_and_made_length_one_again(self, client: Any, vectors: np.ndarray[Any, Any]) -> None:
        [found] = client.embeddings.create(model="default", input=TEXTS[0], dimensions=32).data
        cut = vectors[0, :32] / np.linalg.norm(vectors[0, :32])
        np.testing.assert_allclose(found.embedding, cut, atol=NEAR * 4)

    def test_models(self, client: Any) -> None:
        assert [model.id for model in client.models.list()] == ["all-MiniLM-L6-v2"]
        assert client.models.retrieve("all-MiniLM-L6-v2").object == "model"

    @pytest.mark.parametrize(
        ("arguments", "kind", "says"),
        [
            ({"input": [1, 2, 3]}, "BadRequestError", "check_embedding_ctx_length=False"),
            ({"input": [[1, 2], [3]]}, "BadRequestError", "check_embedding_ctx_length=False"),
            ({"input": []}, "BadRequestError", "empty"),
            ({"input": ["one", ""]}, "BadRequestError", "empty"),
            ({"input": "one", "dimensions": 385}, "BadRequestError", "384"),
            ({"input": "one", "dimensions": 0}, "BadRequestError", "dimensions"),
            ({"input": "one", "model": "text-embedding-3-small"}, "NotFoundError", "all-MiniLM-L6-v2"),
            ({"input": ["x"] * 2049}, "APIStatusError", "2,048"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_errors_are_those_of_its_client(self, client: Any, arguments: dict[str, Any], kind: str, says: str) -> None:
        import openai

        with pytest.raises(getattr(openai, kind)) as caught:
            client.embeddings.create(**{"model": MODEL, **arguments})
        assert says in caught.value.message
        assert set(caught.value.body) == {"message", "type", "param", "code"}


def test_langchain_openai(small: Served, vectors: np.ndarray[Any, Any]) -> None:
    import openai
    from langchain_openai import OpenAIEmbeddings

    known = {"base_url": f"{small.url}/v1", "api_key": "any", "model": MODEL, "max_retries": 0}
    embeddings = OpenAIEmbeddings(**known, check_embedding_ctx_length=False)
    np.testing.assert_allclose(np.array(embeddings.embed_documents(TEXTS)), vectors, atol=NEAR)
    assert len(embeddings.embed_query("cats")) == 384
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        OpenAIEmbeddings(**known | {"model": "text-embedding-ada-002"}, tiktoken_enabled=False).client.create(
            model=MODEL, input=[[1, 2, 3]]
        )


class TestHuggingFace:
    @pytest.fixture
    def client(self, small: Served) -> Any:
        from huggingface_hub import InferenceClient

        return lambda path: InferenceClient(model=small.url + path, token="any")

    @pytest.mark.parametrize("path", ["/embed", "/"])
    def test_feature_extraction(self, client: Any, vectors: np.ndarray[Any, Any], path: str) -> None:
        found = client(path).feature_extraction(TEXTS[0], normalize=True, truncate=True, truncation_direction="Right")
        np.testing.assert_allclose(np.squeeze(found), vectors[0], atol=NEAR)

    def test_sentence_similarity(self, client: Any, vectors: np.ndarray[Any, Any]) -> None:
        found = client("/similarity").sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
        np.testing.assert_allclose(found, vectors[1:] @ vectors[0], atol=NEAR * 2)


class TestTei:
    def test_embed(self, small: Served, vectors: np.ndarray[Any, Any]) -> None:
        found = small.http.post("/embed", json={"inputs": TEXTS, "truncate": None, "prompt_name": None}).json()
        np.testing.assert_allclose(np.array(found), vectors, atol=NEAR)
        assert len(small.http.post("/embed", json={"inputs": "one", "dimensions": 8}).json()[0]) == 8

    def test_embed_all_gives_the_states_of_the_tokens(self, small: Served, vectors: np.ndarray[Any, Any]) -> None:
        [states] = small.http.post("/embed_all", json={"inputs": TEXTS[0]}).json()
        mean = np.mean(states, axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), vectors[0], atol=NEAR * 2)

    def test_tokenize(self, small: Served) -> None:
        [tokens] = small.http.post("/tokenize", json={"inputs": "Größe zählt"}).json()
        assert [tokens[0]["special"], tokens[-1]["special"]] == [True, True]
        assert tokens[0]["start"] is None
        assert "".join("Größe zählt"[each["start"] : each["stop"]] for each in tokens[1:-1]) == "Größezählt"
        [plain] = small.http.post("/tokenize", json={"inputs": "word " * 900, "add_special_tokens": False}).json()
        assert len(plain) == 900

    def test_info_and_health(self, small: Served) -> None:
        info = small.http.get("/info").json()
        assert (info["model_id"], info["max_input_length"]) == ("all-MiniLM-L6-v2", 256)
        assert small.http.get("/health").status_code == 200

    @pytest.mark.parametrize(
        ("path", "body", "status", "kind"),
        [
            ("/embed", {"inputs": []}, 400, "Empty"),
            ("/embed", {"inputs": 3}, 422, "Validation"),
            ("/embed", {"inputs": "x", "prompt_name": "nope"}, 422, "Validation"),
            ("/embed", {"inputs": "long " * 400, "truncate": False}, 413, "Validation"),
            ("/embed", {"inputs": "long " * 400, "truncation_direction": "Left"}, 413, "Validation"),
            ("/embed", {"inputs": "x", "dimensions": 9999}, 422, "Validation"),
            ("/similarity", {"inputs": {"source_sentence": "x", "sentences": []}}, 422, "Validation"),
            ("/rerank", {"query": "", "texts": ["a"]}, 422, "Validation"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_errors(self, small: Served, path: str, body: dict[str, Any], status: int, kind: str) -> None:
        response = small.http.post(path, json=body)
        assert (response.status_code, response.json()["error_type"]) == (status, kind), response.text
        assert response.json()["error"]


DOCUMENTS = ["Wings lift aeroplanes.", "Cats sleep most of the day.", "A sleeping cat purrs."]


class TestRerank:
    def test_cohere_client(self, small: Served) -> None:
        import cohere

        with cohere.ClientV2(api_key="any", base_url=small.url) as client:
            found = client.rerank(model="any", query="sleepy cats", documents=DOCUMENTS, top_n=2)
        assert {each.index for each in found.results} == {1, 2}
        scores = [each.relevance_score for each in found.results]
        assert 1 >= scores[0] >= scores[1] >= 0

    def test_cohere_client_version_1(self, small: Served) -> None:
        import cohere

        with cohere.Client(api_key="any", base_url=small.url) as client:
            found = client.rerank(query="sleepy cats", documents=DOCUMENTS, return_documents=True)
        assert len(found.results) == 3
        assert found.results[0].document.text == DOCUMENTS[found.results[0].index]

    def test_relevant_spans_mark_what_answers(self, small: Served) -> None:
        text = "The harbour was built in 1903. Cats sleep for most of the day. Tickets cost four coins."
        body = {"query": "how long do cats sleep", "documents": [text, DOCUMENTS[0]]}
        body |= {"relevant_spans": {"mode": "enabled", "threshold": 0.05, "max_spans": 2}}
        results = small.http.post("/v2/rerank", json=body).json()["results"]
        best = results[0]["relevant_spans"][0]
        assert "Cats sleep" in text[best["start"] : best["end"]]
        assert all(len(each["relevant_spans"]) <= 2 for each in results)
        assert all(0.05 <= span["score"] <= 1 for each in results for span in each["relevant_spans"])

    def test_errors_are_those_of_coheres_client(self, small: Served) -> None:
        import cohere

        with (
            cohere.ClientV2(api_key="any", base_url=small.url) as client,
            pytest.raises(cohere.BadRequestError) as caught,
        ):
            client.rerank(model="any", query="cats", documents=[])
        assert "documents" in caught.value.body["message"]

    def test_tei_and_infinity_share_a_route(self, small: Served) -> None:
        asked = {"query": "sleepy cats"}
        tei = small.http.post("/rerank", json={**asked, "texts": DOCUMENTS, "return_text": True}).json()
        infinity = small.http.post("/rerank", json={**asked, "documents": DOCUMENTS, "return_documents": True}).json()
        assert [each["index"] for each in tei] == [each["index"] for each in infinity["results"]]
        assert [each["text"] for each in tei] == [each["document"] for each in infinity["results"]]
        assert infinity["object"] == "rerank"

    def test_raw_scores_are_cosines(self, small: Served, encoders: EncoderRegistry) -> None:
        encoder = encoders.get("all-MiniLM-L6-v2")
        cosines = encoder.encode_passages(DOCUMENTS) @ encoder.encode_queries(["sleepy cats"])[0]
        raw = small.http.post("/rerank", json={"query": "sleepy cats", "texts": DOCUMENTS, "raw_scores": True}).json()
        for each in raw:
            assert math.isclose(each["score"], cosines[each["index"]], abs_tol=NEAR * 2)


def test_concurrent_callers_get_their_own_vectors(small: Served, vectors: np.ndarray[Any, Any]) -> None:
    async def main() -> list[list[float]]:
        async with httpx.AsyncClient(base_url=small.url, timeout=30) as client:
            asked = [client.post("/embed", json={"inputs": TEXTS[number % 3]}) for number in range(30)]
            return [answer.json()[0] for answer in await asyncio.gather(*asked)]

    for number, found in enumerate(asyncio.run(main())):
        np.testing.assert_allclose(found, vectors[number % 3], atol=NEAR)
