"""The Python client of a running service; it imports httpx and pydantic only."""

from .client import AsyncClient, Client
from .errors import (
    AuthenticationError,
    ChangeFailedError,
    ConflictError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    ServiceError,
    UnexpectedAnswerError,
)
from .options import SearchOptions
from .uploads import UploadReport

__all__ = [
    "AsyncClient",
    "AuthenticationError",
    "ChangeFailedError",
    "Client",
    "ConflictError",
    "InvalidRequestError",
    "NoAnswerError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "SearchOptions",
    "ServerError",
    "ServiceError",
    "UnexpectedAnswerError",
    "UploadReport",
]
