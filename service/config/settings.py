"""Every setting of the service once: its name, default and one sentence of help.

A setting is taken from the first of: the command line, the environment (`ATTENDEX_LIMITS__K=500`), the settings file
(`limits.k = 500` in TOML), the default.  `docs/settings.md` is generated from this file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
)
from pydantic import ValidationError as PydanticValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from retrieval.errors import SettingsError
from retrieval.search.request import MAX_DEPTH, MAX_FACETS, MAX_QUERY_CHARACTERS
from retrieval.util.cores import cores

PREFIX = "ATTENDEX_"
MASKED = "********"


class SettingsGroup(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RequestLimits(SettingsGroup):
    """What one request may ask for; past a limit it is refused with a message that names the limit."""

    body_bytes: PositiveInt = Field(default=8_000_000, description="Most bytes of a request body.")
    header_bytes: PositiveInt = Field(default=32_768, description="Most bytes of all request headers together.")
    query_characters: PositiveInt = Field(
        default=MAX_QUERY_CHARACTERS, le=MAX_QUERY_CHARACTERS, description="Most characters of a query."
    )
    k: PositiveInt = Field(default=1_000, le=MAX_DEPTH, description="Most hits of one answer.")
    depth: PositiveInt = Field(
        default=MAX_DEPTH,
        le=MAX_DEPTH,
        description="Most hits that paging can reach, offset + k; and of all searches of a batch together.",
    )
    explained: PositiveInt = Field(
        default=100, description="Most hits of a search that are explained, or passages that are highlighted."
    )
    filter_characters: PositiveInt = Field(default=4_000, description="Most characters of a filter expression.")
    facets: PositiveInt = Field(default=MAX_FACETS, le=MAX_FACETS, description="Most facets of one search.")
    batch: PositiveInt = Field(default=256, description="Most searches of one batch.")
    texts: PositiveInt = Field(default=2_048, description="Most texts of one embedding or rerank request.")
    text_characters: PositiveInt = Field(default=131_072, description="Most characters of one text to embed or rerank.")
    documents: PositiveInt = Field(default=1_000, description="Most documents of one upload request.")
    requests: PositiveInt = Field(
        default=512, description="Most requests in progress; more are refused with 429 at once."
    )
    seconds: PositiveFloat = Field(default=30.0, description="Deadline of a request in seconds; then 503.")


class QueueSettings(SettingsGroup):
    """The bounded queues in front of the encoder and the indexes."""

    length: PositiveInt = Field(
        default=64,
        description="Most searches, embedding requests, or calls of other kinds on their way at a time; more get 429, "
        "and searches and embedding requests, until that has not happened for a second, have a sixth of the room.",
    )
    changes: PositiveInt = Field(default=256, description="Most changes of documents that wait; more get 429.")
    batch_searches: PositiveInt = Field(default=16, description="Most searches that are answered as one batch.")
    batch_texts: PositiveInt = Field(default=64, description="Most embedding requests that are answered as one batch.")
    batch_tokens: PositiveInt = Field(default=4_096, description="Most tokens, roughly, that are encoded as one batch.")
    threads: NonNegativeInt = Field(
        default=0, description="Threads that search with what was encoded; 0: one for every two cores."
    )

    @property
    def searchers(self) -> int:
        """The threads that this makes."""
        return self.threads or max(1, cores() // 2)


class RateSettings(SettingsGroup):
    """How often one key, or one address where no key is needed, may call."""

    per_key: str = Field(
        default="", description="Requests for each key, such as '100/second' or '5000/minute'; empty: any."
    )
    failures: str = Field(
        default="30/minute",
        description="Calls with a wrong key, or with none, that one address may make before it gets 429.",
    )


class LogSettings(SettingsGroup):
    """What is written to standard error."""

    format: Literal["text", "json"] = Field(default="text", description="Form of a log line.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    requests: bool = Field(default=True, description="Write a line for each request.")
    queries: bool = Field(default=False, description="Write query texts too; off, because queries may be private.")
    slow_ms: NonNegativeFloat = Field(
        default=1_000.0, description="Requests slower than this are logged as slow; 0: none."
    )


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_nested_max_split=1, extra="forbid", frozen=True
    )

    config: Path | None = Field(default=None, description="Settings file (TOML).")
    host: str = Field(
        default="127.0.0.1", description="Address to listen on; others than this machine's own need a key."
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(default=False, description="Listen on other addresses although no key is set.")
    keys: Path | None = Field(default=None, description="File of API keys, as `attendex keys` writes it.")
    api_key: SecretStr | None = Field(
        default=None, description="One key with the role admin, beside those of the file."
    )
    writable: bool = Field(
        default=True, description="Accept changes of collections; off: searching and embedding only."
    )
    encoder: str = Field(
        default="", description="Encoder of the embedding routes; empty: that of the first collection."
    )
    runtime: Literal["auto", "openvino", "torch"] = Field(default="auto", description="How the encoder is run.")
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(default="auto", description="Precision of the encoder.")
    reranker: str = Field(
        default="", description="Cross-encoder folder for the rerank routes; empty: the encoder's cosine."
    )
    degrade: bool = Field(
        default=False, description="Answer hybrid searches by words alone while the encoder is overloaded."
    )
    reload_seconds: PositiveFloat = Field(
        default=0.5, description="How often collections and keys are looked at for changes."
    )
    grace_seconds: NonNegativeFloat = Field(
        default=20.0, description="How long running requests and changes may take after SIGTERM."
    )
    drain_seconds: NonNegativeFloat = Field(
        default=1.0, description="How long requests are still taken after SIGTERM, while /readyz says 503."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call the service from a browser."
    )
    metrics: bool = Field(default=True, description="Serve Prometheus metrics at /metrics, without a key.")
    recall_sample: float = Field(
        default=0.001, ge=0, le=1, description="Share of live queries repeated exactly to watch the recall; 0: none."
    )
    limits: RequestLimits = Field(default_factory=RequestLimits, description="Limits of a request.")
    queue: QueueSettings = Field(default_factory=QueueSettings, description="Queues.")
    rate: RateSettings = Field(default_factory=RateSettings, description="Rate limits.")
    log: LogSettings = Field(default_factory=LogSettings, description="Logging.")

    @field_validator("api_key")
    @classmethod
    def _is_no_blank(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and key.get_secret_value().split() != [key.get_secret_value()]:
            raise ValueError("is blank or has spaces in it; a key is one word")
        return key

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment, settings file: the first that has a value wins."""
        file = init_settings().get("config") or os.environ.get(f"{PREFIX}CONFIG")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting as it stands: where the value came from, secrets masked."""

    name: str  # dotted: "limits.k"
    variable: str
    value: Any
    source: str
    help: str


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """The effective settings; `flags` are those of the command line, by dotted name.  Raises SettingsError."""
    nested = _nested(flags or {})
    file = nested.get("config") or os.environ.get(f"{PREFIX}CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"the settings file {file} does not exist; check --config or {PREFIX}CONFIG")
    try:
        return Settings(**nested)
    except PydanticValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SettingsError(f"{wrong}. `attendex settings` lists the names and values") from error
    except ValueError as error:  # a settings file that is not TOML
        raise SettingsError(f"the settings cannot be read: {error}") from error


def describe(settings: Settings, flags: Mapping[str, Any] | None = None) -> list[EffectiveSetting]:
    """Every setting with its value and the place it came from, in the order of this file."""
    given = flags or {}
    in_file = _flat(TomlConfigSettingsSource(Settings, toml_file=settings.config)())
    environment = {name.upper() for name in os.environ}

    def source(name: str, variable: str) -> str:
        if name in given:
            return "flag"
        if variable in environment:
            return variable
        return f"file {settings.config}" if name in in_file else "default"

    return [
        EffectiveSetting(
            name, variable_of(name), _shown(_value_of(settings, name)), source(name, variable_of(name)), help_text
        )
        for name, help_text in ((name, field.description or "") for name, field in fields_of(Settings))
    ]


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted names and fields of all settings, groups opened."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, SettingsGroup):
            yield from fields_of(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def variable_of(name: str) -> str:
    """Environment variable of a dotted name."""
    return PREFIX + name.replace(".", "__").upper()


def _value_of(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASKED
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        *groups, last = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Flags given as `name=value`; values are read as TOML where they are TOML, else as text.  Raises SettingsError."""
    known = {name for name, _ in fields_of(Settings)}
    flags: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            raise SettingsError(f"--set {assignment}: not NAME=VALUE with a name that `attendex settings` lists")
        try:
            flags[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            flags[name] = text
    return flags


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
    return f"| `{name}` | `{variable_of(name)}` | {_default(field.default)} | {field.description} |\n"


def _default(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
