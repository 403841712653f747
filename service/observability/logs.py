"""Logs of the service: JSON or text lines on standard error."""

from __future__ import annotations

import json
import logging
import sys
from time import gmtime, strftime
from typing import Any

from retrieval.util.visible_text import VisibleFormatter, visible
from service.config.log_settings import LogSettings

LOGGER = "attendex.service"


class JsonFormatter(logging.Formatter):
    """One JSON object for each line; `extra={"fields": …}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return visible(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(VisibleFormatter):
    """Lines of text, with the fields behind the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {}).items()
        shown = " ".join(f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in fields)
        return super().formatMessage(record) + (f"  {visible(shown)}" if shown else "")


def set_up_logging(settings: LogSettings) -> None:
    """Send the logs of the service and of the server to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    for name in (LOGGER, "retrieval", "indexer", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(settings.level.upper() if name == LOGGER else logging.WARNING)
