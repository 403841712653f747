"""The Python client of a running service; it imports httpx and pydantic only."""

from service.client.client import AsyncClient, Client, SearchOptions, ServiceError, UploadReport

__all__ = ["AsyncClient", "Client", "SearchOptions", "ServiceError", "UploadReport"]
