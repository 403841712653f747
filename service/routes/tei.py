"""The routes of Text Embeddings Inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError, TooLarge
from retrieval.util.cores import cores
from retrieval.util.work_budget import NUMBER_BYTES, checkpoint, spend_answer_bytes
from service.client.answers.tokens import TokenAnswer
from service.config.api_keys import Role
from service.http.json_bodies import json_list
from service.http.problems import TEI
from service.queues.embedding_queue import EmbeddingRequest
from service.routes.base import JsonRoute, Services, authorized, json_answer, json_response, services_of
from service.routes.openai import checked_texts, shortened
from service.runtime.encoder_registry import shown_name
from service.schemas.problems import HealthAnswer
from service.schemas.tei import EmbedBody, InfoAnswer, SimilarityBody, TokenizeBody, Truncation

if TYPE_CHECKING:
    from tokenizers import Encoding

TOKEN_BYTES = 90  # of a token in an answer; a character is at most a token


class TeiRoute(JsonRoute):
    """A route with the errors of Text Embeddings Inference."""

    dialect = TEI


router = APIRouter(tags=["tei"], route_class=TeiRoute)


@router.post("/embed", response_model=list[list[float]], summary="Embed texts (TEI)")
async def embed(body: EmbedBody, request: Request) -> Response:
    """Return vectors of length one, in the order of the texts."""
    services = authorized(request, Role.READ)
    texts = checked_texts(body.inputs, services.settings.limits)
    embedding_request = EmbeddingRequest(services.encoders.resolve(""), texts, queries=_is_query(body.prompt_name))
    await _refuse_cuts(services, embedding_request, body)
    found = await services.embeddings.embed(embedding_request)
    vectors = shortened(found.vectors, body.dimensions)
    spend_answer_bytes(vectors.size * NUMBER_BYTES)
    return await json_answer(list(vectors))


@router.post("/", include_in_schema=False)  # the OpenAPI document has the page at this path
async def embed_at_root(body: EmbedBody, request: Request) -> Response:
    """Answer clients that know only the service's address."""
    return await embed(body, request)


@router.post("/embed_all", response_model=list[list[list[float]]], summary="Token states before pooling (TEI)")
async def embed_all(body: EmbedBody, request: Request) -> Response:
    """Return the states of all tokens of each text, not normalized."""
    services = authorized(request, Role.READ)
    texts = checked_texts(body.inputs, services.settings.limits)
    embedding_request = EmbeddingRequest(services.encoders.resolve(""), texts, queries=_is_query(body.prompt_name))
    await _refuse_cuts(services, embedding_request, body)
    return await json_answer(await services.embeddings.states(embedding_request))


@router.post("/similarity", response_model=list[float], summary="Compare one text with others (TEI)")
async def similarity(body: SimilarityBody, request: Request) -> Response:
    """Return the cosines with the source sentence."""
    services = authorized(request, Role.READ)
    options = body.parameters or Truncation()
    limits = services.settings.limits
    texts = (*checked_texts(body.inputs.source_sentence, limits), *checked_texts(body.inputs.sentences, limits))
    embedding_request = EmbeddingRequest(services.encoders.resolve(""), texts, queries=_is_query(options.prompt_name))
    await _refuse_cuts(services, embedding_request, options)
    vectors = (await services.embeddings.embed(embedding_request)).vectors
    return json_response(np.clip(vectors[1:] @ vectors[0], -1, 1))


@router.post("/tokenize", response_model=list[list[TokenAnswer]], summary="Tokens of texts (TEI)")
async def tokenize(body: TokenizeBody, request: Request) -> Response:
    """Return all tokens of each text, also those that the encoder would not read."""
    services = authorized(request, Role.READ)
    limits = services.settings.limits
    texts = checked_texts(body.inputs, limits)
    total = sum(map(len, texts))
    if total > limits.text_characters:  # each token becomes an object of hundreds of bytes
        raise TooLarge(f"texts of {total:,} characters are over the limit of {limits.text_characters:,}; send fewer")
    encoder = await services.threads.run(services.encoders.get, services.encoders.resolve(""))
    prompt = _prompt(encoder, body.prompt_name)
    prompted = [prompt + text for text in texts]
    return await json_answer(await services.slow.run(_tokens, encoder, prompted, body.add_special_tokens))


@router.get("/info", response_model=InfoAnswer, summary="The encoder and the limits (TEI)")
async def info(request: Request) -> Response:
    """Return TEI's facts, as far as they apply."""
    services = authorized(request, Role.READ)
    name = services.encoders.resolve("")
    encoder = await services.threads.run(services.encoders.get, name)
    settings = services.settings
    return json_response(
        {
            "model_id": shown_name(name),
            "model_sha": encoder.fingerprint.weights_sha256,
            "model_dtype": str(encoder.runtime.precision),
            "served_model_name": shown_name(name),
            "model_type": {"embedding": {"pooling": encoder.fingerprint.pooling}},
            "max_concurrent_requests": settings.limits.requests,
            "max_input_length": encoder.fingerprint.max_tokens,
            "max_batch_tokens": settings.queue.batch_tokens,
            "max_batch_requests": settings.queue.batch_texts,
            "max_client_batch_size": settings.limits.texts,
            "auto_truncate": True,
            "tokenization_workers": cores(),
            "version": request.app.version,
            "sha": None,
            "docker_label": None,
        }
    )


@router.get("/health", response_model=HealthAnswer, tags=["operations"], summary="Texts can be embedded (TEI)")
async def health(request: Request) -> Response:
    """Return 200 unless the service is shutting down."""
    draining = services_of(request).lifecycle.draining
    return json_response({"status": "shutting down" if draining else "ok"}, 503 if draining else 200)


def _is_query(prompt_name: str | None) -> bool:
    if prompt_name not in (None, "query", "document", "passage"):
        raise InputError(f"prompt_name {prompt_name!r} is unknown; use query or document")
    return prompt_name == "query"


def _prompt(encoder: SentenceEncoder, prompt_name: str | None) -> str:
    fingerprint = encoder.fingerprint
    return fingerprint.query_prompt if _is_query(prompt_name) else fingerprint.passage_prompt


async def _refuse_cuts(services: Services, embedding_request: EmbeddingRequest, options: Truncation) -> None:
    """Raise TooLarge if the encoder would truncate a text and the caller forbids it."""
    left = options.truncation_direction == "left"
    if options.truncate is not False and not left:
        return
    encoder = await services.threads.run(services.encoders.get, embedding_request.encoder)
    position = await services.slow.run(_first_cut, encoder, embedding_request.texts)
    if position is not None:
        why = "only the end of a text can be removed" if left else "truncate is false"
        raise TooLarge(
            f"text {position} has more than the {encoder.tokenizer.max_tokens:,} tokens that the encoder reads, "
            f"and {why}; shorten it"
        )


def _first_cut(encoder: SentenceEncoder, texts: Sequence[str]) -> int | None:
    """Return the position of the first text that the encoder would truncate."""
    for position, text in enumerate(texts):
        checkpoint()
        if encoder.tokenizer.exceeds_limit(text):
            return position
    return None


def _tokens(encoder: SentenceEncoder, texts: Sequence[str], special: bool) -> list[orjson.Fragment]:
    """Return the tokens of each text as JSON.

    The objects of all tokens together would take hundreds of megabytes.
    """
    spend_answer_bytes(TOKEN_BYTES * sum(map(len, texts)))
    return [json_list(_token_objects(encoder.tokenizer.whole_encoding(text), special)) for text in texts]


def _token_objects(found: Encoding, special: bool) -> Iterator[dict[str, object]]:
    columns = zip(found.ids, found.tokens, found.special_tokens_mask, found.offsets, strict=True)
    for token, piece, is_special, (start, stop) in columns:
        if not is_special:
            yield {"id": token, "text": piece, "special": False, "start": start, "stop": stop}
        elif special:
            yield {"id": token, "text": piece, "special": True, "start": None, "stop": None}
