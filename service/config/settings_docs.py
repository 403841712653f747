"""docs/settings.md, made from the settings themselves."""

from __future__ import annotations

from typing import Any

from pydantic.fields import FieldInfo

from service.config.settings import Settings, fields_of, variable_of

INTRODUCTION = """# Settings of the service

<!-- Made by `attendex settings --markdown`; a test compares it with the code. -->

A setting is taken from the first of: the command line (`--host`, or `--set limits.k=500` for any of them), the
environment (`ATTENDEX_LIMITS__K=500`; lists as JSON), the settings file (`--config attendex.toml`, with
`limits.k = 500` or a table `[limits]`), the default. `attendex settings` prints the effective ones and where each came
from.

| setting | variable | default | meaning |
| --- | --- | --- | --- |
"""


def settings_page() -> str:
    """The page."""
    return INTRODUCTION + "".join(_row(name, field) for name, field in fields_of(Settings))


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | `{variable_of(name)}` | {_shown(field.default)} | {field.description} |\n"


def _shown(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
