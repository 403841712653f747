"""Settings of the log on standard error, and of the log of queries."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from service.config.outgoing_settings import SettingsGroup


class LogSettings(SettingsGroup):
    """The log on standard error."""

    format: Literal["text", "json"] = Field(default="text", description="Format of the log lines.")
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level to write.")
    requests: bool = Field(default=True, description="Write a line for each request.")
    queries: bool = Field(default=False, description="Write query texts too; they may be private.")
    slow_ms: NonNegativeFloat = Field(
        default=1_000.0, description="Requests slower than so many milliseconds are logged as slow; 0: none."
    )


class QueryLogSettings(SettingsGroup):
    """The log of queries and clicks; without a folder there is none."""

    folder: Path | None = Field(
        default=None, description="Folder for a log of queries and clicks, which may be private; empty: keep none."
    )
    days: PositiveInt = Field(default=30, le=3_650, description="Days after which a part of the query log is removed.")
    bytes: PositiveInt = Field(
        default=64 << 20,
        ge=10_000,
        description="Maximum size of the query log of one collection; the oldest parts are removed.",
    )
    redact: bool = Field(
        default=True, description="Replace e-mail and IP addresses, long numbers and keys in logged queries."
    )
