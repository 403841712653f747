"""The page docs/settings.md, made from the settings."""

from __future__ import annotations

from typing import Any

from pydantic.fields import FieldInfo

from service.config.settings import Settings, fields_of, variable_of

INTRODUCTION = """# Settings of the service

<!-- Made by `attendex settings --markdown`; a test compares it with the code. -->

This page lists every setting of `attendex serve`, its environment variable and its default.

To print the effective settings and the source of each, run `attendex settings`. A setting comes from the first of:

1. the command line: `--host`, or `--set limits.k=500` for any setting;
2. the environment: `ATTENDEX_LIMITS__K=500`, a list as JSON;
3. the settings file: `--config attendex.toml` with `limits.k = 500`, or a table `[limits]`;
4. the default.

| setting | variable | default | meaning |
| --- | --- | --- | --- |
"""


def settings_page() -> str:
    """Return the page docs/settings.md."""
    return INTRODUCTION + "".join(_row(name, field) for name, field in fields_of(Settings))


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | `{variable_of(name)}` | {_default(field.default)} | {field.description} |\n"


def _default(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
