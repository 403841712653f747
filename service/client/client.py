"""The Python client: `Client`, and `AsyncClient` with the same methods.

    with Client("http://127.0.0.1:8080") as client:
        for hit in client.search("papers", "does aspirin lower the risk of stroke", k=3).hits:
            print(hit.rank, hit.title)

It imports httpx and pydantic only. It tries again, after longer and longer pauses, if the service is overloaded (429,
503) or a connection fails. Every failure is a ServiceError in the end.
"""

from __future__ import annotations

from .administration import Administration, AsyncAdministration
from .files import AsyncFileUploads, FileUploads
from .judgments import AsyncJudgments, Judgments
from .models import AsyncModels, Models
from .questions import AsyncQuestions, Questions
from .searching import AsyncSearching, Searching
from .standing import AsyncStandingQueries, StandingQueries
from .usage import AsyncUsage, Usage


class Client(Searching, Questions, FileUploads, Administration, Judgments, StandingQueries, Usage, Models):
    """A thread-safe client; `url`, `key` default to ATTENDEX_URL, ATTENDEX_API_KEY."""


class AsyncClient(
    AsyncSearching,
    AsyncQuestions,
    AsyncFileUploads,
    AsyncAdministration,
    AsyncJudgments,
    AsyncStandingQueries,
    AsyncUsage,
    AsyncModels,
):
    """The client for asyncio; each method does as the method of `Client`."""
