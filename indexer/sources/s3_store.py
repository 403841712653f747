"""Open the bucket of an address `s3://bucket/prefix`.

Credentials come from the environment, by the names that AWS gave them (AWS_ACCESS_KEY_ID, …), or from the role of the
machine.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from retrieval.errors import SettingsError

MAX_REASON_CHARACTERS = 300
DEFAULT_REGION = "us-east-1"


def open_store(
    address: str, *, endpoint: str = "", region: str = "", seconds: float = 60.0, retries: int = 3
) -> tuple[S3Store, str]:
    """Return the bucket and the prefix of an address.  Raises SettingsError."""
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.hostname:
        raise SettingsError(f"{address}: has no bucket; write s3://bucket/prefix")
    store = S3Store(
        parts.netloc,
        config=_configuration(endpoint, region),
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": timedelta(seconds=seconds)},
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=4 * seconds)},
    )
    return store, parts.path.strip("/")


def _configuration(endpoint: str, region: str) -> Any:
    config = {name: value for name, value in {"endpoint": endpoint, "region": region}.items() if value}
    if not region and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & os.environ.keys():
        config["region"] = DEFAULT_REGION
    return config


def reason_of_store(error: Exception) -> str:
    """Return an error without the details that the library adds on further lines."""
    return str(error).strip().partition("\n")[0][:MAX_REASON_CHARACTERS]
