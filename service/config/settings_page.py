"""The page docs/settings.md, made from the settings."""

from __future__ import annotations

from typing import Any

from pydantic.fields import FieldInfo

from indexer.sources.settings import SourceSettings
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


SOURCES = """
## Sources

A table `[[sources]]` of the settings file is a source, from which `attendex sync` and `attendex serve --watch` read
documents; [sources.md](sources.md) shows examples. It has these settings:

| setting | default | meaning |
| --- | --- | --- |
"""


def settings_page() -> str:
    """Return the page docs/settings.md."""
    service = "".join(_row(name, field) for name, field in fields_of(Settings))
    sources = "".join(_source_row(name, field) for name, field in SourceSettings.model_fields.items())
    return INTRODUCTION + service + SOURCES + sources


def _source_row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {_default(None if field.is_required() else field.default)} | {field.description} |\n"


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | `{variable_of(name)}` | {_default(field.default)} | {field.description} |\n"


def _default(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    if isinstance(default, tuple):
        return f"`{list(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
