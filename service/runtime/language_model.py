"""A language model of another service, by OpenAI's protocol (`/chat/completions`).

The address comes from the settings alone, and redirects are not followed, so that no request chooses where this service
connects to.  The key is in no log and in no error.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from retrieval.errors import ModelError
from service.config.answer_settings import AnswerSettings
from service.config.settings import MASKED
from service.observability.logs import LOGGER
from service.runtime.model_reply import ModelReply, in_time

MAX_ERROR_BYTES = 2_000  # of an error that are read and logged
MAX_RETRY_AFTER_S = 3_600
NEWER_NAME = "max_completion_tokens"  # of the limit of tokens; models that need it refuse a temperature, too
REASONS = {
    401: "the model refused the key (answer.key)",
    403: "the model refused the key (answer.key)",
    404: "the model is not there (answer.url, answer.model)",
    429: "the model is overloaded",
}


class LanguageModel:
    """Writes texts.  Belongs to one event loop, until `close`."""

    def __init__(self, settings: AnswerSettings) -> None:
        self.settings = settings
        self._key = settings.key.get_secret_value() if settings.key else ""
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        self._http = httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=None)
        self._has_newer_name = False

    async def close(self) -> None:
        await self._http.aclose()

    @asynccontextmanager
    async def reply(self, system: str, user: str, deadline: float) -> AsyncIterator[ModelReply]:
        """Yield the reply to a text once the model begins to send it.

        deadline: by the clock of the event loop.  Raises ModelError.
        """
        response = await self._sent(system, user, deadline)
        try:
            if response.status_code == 400 and not self._has_newer_name:
                message = await self._error_of(response, deadline)
                await response.aclose()
                if NEWER_NAME not in message:
                    raise ModelError("the model refused the request (400); the operator finds the reason in the log")
                self._has_newer_name = True
                response = await self._sent(system, user, deadline)
            if response.status_code != 200:
                raise await self._failure(response, deadline)
            yield ModelReply(response, self.settings, deadline)
        finally:
            await response.aclose()

    async def _sent(self, system: str, user: str, deadline: float) -> httpx.Response:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body: dict[str, Any] = {"model": self.settings.model, "messages": messages, "stream": True}
        if self._has_newer_name:
            body |= {NEWER_NAME: self.settings.max_tokens}
        else:
            body |= {"max_tokens": self.settings.max_tokens, "temperature": 0}
        request = self._http.build_request("POST", f"{self.settings.url}/chat/completions", json=body)
        sent: httpx.Response = await in_time(self._http.send(request, stream=True), deadline)
        return sent

    async def _failure(self, response: httpx.Response, deadline: float) -> ModelError:
        """Log a response that is no reply, and return its error."""
        await self._error_of(response, deadline)
        status = response.status_code
        reason = REASONS.get(status, "the model redirects" if response.is_redirect else "the model failed")
        after = response.headers.get("retry-after", "")
        retry_after_s = min(int(after), MAX_RETRY_AFTER_S) if after.isdecimal() and after.isascii() else None
        return ModelError(f"{reason}; it answered {status}", retry_after_s=retry_after_s)

    async def _error_of(self, response: httpx.Response, deadline: float) -> str:
        """Return the first part of an error, and log it without the key."""
        received = b""
        chunks = response.aiter_raw()
        while len(received) < MAX_ERROR_BYTES and (chunk := await in_time(anext(chunks, b""), deadline)):
            received += chunk
        message = received[:MAX_ERROR_BYTES].decode("utf-8", "replace")
        if self._key:
            message = message.replace(self._key, MASKED)
        logging.getLogger(LOGGER).warning("the model answered %s: %s", response.status_code, message)
        return message
