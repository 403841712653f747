"""The settings of the service: names, defaults and descriptions.

A setting comes from the first of: the command line, the environment (`ATTENDEX_LIMITS__K=500`), the settings file
(`limits.k = 500` in TOML), the default. `docs/settings.md` is generated from this file.
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

from indexer.sources.settings import SourceSettings, wrong_values
from retrieval.errors import SettingsError
from retrieval.search.request_limits import MAX_DEPTH, MAX_FACETS, MAX_QUERY_CHARACTERS
from retrieval.util.cores import cores
from service.config.answer_settings import AnswerSettings
from service.config.cluster_settings import ClusterSettings
from service.config.log_settings import LogSettings, QueryLogSettings
from service.config.outgoing_settings import FollowSettings, RemoteSettings, SettingsGroup, WebhookSettings
from service.config.upload_settings import JobSettings, UploadSettings
from service.schemas.base import MAX_CHARACTERS, MAX_DOCUMENTS, MAX_SEARCHES, MAX_TEXTS

PREFIX = "ATTENDEX_"
MASKED = "********"
KEY_CHARACTERS = 16  # at least
MAX_PROCESSES = 256


class RequestLimits(SettingsGroup):
    """Limits of requests and connections; an error names the limit that is exceeded."""

    body_bytes: PositiveInt = Field(default=8_000_000, description="Maximum size of a request body in bytes.")
    body_values: PositiveInt = Field(
        default=120_000,
        description="Maximum number of values of a request body over 64 KiB: items of lists and members of objects.",
    )
    header_bytes: PositiveInt = Field(default=32_768, description="Maximum size of all request headers in bytes.")
    query_characters: PositiveInt = Field(
        default=MAX_QUERY_CHARACTERS, le=MAX_QUERY_CHARACTERS, description="Maximum length of a query in characters."
    )
    k: PositiveInt = Field(default=1_000, le=MAX_DEPTH, description="Maximum number of hits of one answer.")
    depth: PositiveInt = Field(
        default=MAX_DEPTH,
        le=MAX_DEPTH,
        description="Maximum of offset + k, which paging can reach, also of all searches of a batch together.",
    )
    explained: PositiveInt = Field(
        default=100, description="Maximum number of hits to explain, or of passages to highlight, in one request."
    )
    examples: PositiveInt = Field(
        default=512, description="Maximum number of documents that the searches of one request name as examples."
    )
    reranked: PositiveInt = Field(
        default=200, description="Maximum number of documents that the searches of one request rerank."
    )
    facet_values: PositiveInt = Field(
        default=20_000_000,
        description="Maximum number of values that one request counts or sorts: documents times facets.",
    )
    filter_values: PositiveInt = Field(
        default=500_000_000,
        description="Maximum number of values that the filters of one request read: documents times conditions.",
    )
    answer_bytes: PositiveInt = Field(
        default=32_000_000, description="Maximum size of an answer in bytes, estimated before it is made."
    )
    filter_characters: PositiveInt = Field(
        default=4_000, le=MAX_CHARACTERS, description="Maximum length of a filter in characters."
    )
    facets: PositiveInt = Field(default=MAX_FACETS, le=MAX_FACETS, description="Maximum number of facets of a search.")
    batch: PositiveInt = Field(default=256, le=MAX_SEARCHES, description="Maximum number of searches of one batch.")
    texts: PositiveInt = Field(
        default=2_048, le=MAX_TEXTS, description="Maximum number of texts of one embedding or rerank request."
    )
    text_characters: PositiveInt = Field(
        default=131_072, le=MAX_CHARACTERS, description="Maximum length of a text to embed or rerank."
    )
    documents: PositiveInt = Field(
        default=1_000, le=MAX_DOCUMENTS, description="Maximum number of documents of one upload request."
    )
    patches: PositiveInt = Field(
        default=MAX_DOCUMENTS, le=MAX_DOCUMENTS, description="Maximum number of documents that one request changes."
    )
    requests: PositiveInt = Field(
        default=512, description="Maximum number of requests in progress; the service refuses more with 429 at once."
    )
    seconds: PositiveFloat = Field(default=30.0, description="Deadline of a request in seconds; then it gets 503.")
    connections: PositiveInt = Field(
        default=2_048,
        description="Maximum number of connections, at most half of the files that the process may open. A new one "
        "replaces the one whose client has been silent the longest.",
    )
    connections_per_address: PositiveInt = Field(
        default=256, description="Maximum number of connections of one address (IPv6: of one /64), as above."
    )
    unread_bytes: PositiveInt = Field(
        default=64 << 20, description="Maximum memory of answers that wait until their clients read them."
    )


class QueueSettings(SettingsGroup):
    """The bounded queues in front of the encoder and the indexes."""

    length: PositiveInt = Field(
        default=64,
        description="Capacity of each queue: searches, embedding requests, other calls; more get 429. For a second "
        "after a refusal, the queues of searches and embedding requests hold a sixth of it.",
    )
    changes: PositiveInt = Field(default=256, description="Maximum number of waiting changes; more get 429.")
    change_bytes: PositiveInt = Field(
        default=256 << 20, description="Maximum memory of unfinished changes, estimated; more get 429."
    )
    batch_searches: PositiveInt = Field(default=16, description="Maximum number of searches of one batch.")
    batch_texts: PositiveInt = Field(default=64, description="Maximum number of embedding requests of one batch.")
    batch_tokens: PositiveInt = Field(default=4_096, description="Maximum number of tokens of one batch, estimated.")
    threads: NonNegativeInt = Field(default=0, description="Threads for encoded queries; 0: one for every two cores.")

    @property
    def searchers(self) -> int:
        """The number of threads that search."""
        return self.threads or max(1, cores() // 2)


class RateSettings(SettingsGroup):
    """How often one key may call; without keys, one address."""

    per_key: str = Field(default="", description="Maximum rate of each key, such as '100/second'; empty: no limit.")
    failures: str = Field(
        default="30/minute",
        description="Maximum rate of wrong keys from one address (IPv6: one /64); then every key from there gets 429.",
    )


class Settings(BaseSettings):
    """The settings of the service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_nested_max_split=1, extra="forbid", frozen=True
    )

    config: Path | None = Field(default=None, description="Settings file (TOML).")
    sources: tuple[SourceSettings, ...] = Field(
        default=(), description="Sources that `attendex sync` and `serve --watch` read: tables [[sources]], see below."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; only a local one needs no key.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0: any free port.")
    processes: int | Literal["auto"] = Field(
        default=1, description="Processes that serve; auto: one for every two cores, each with its part of them."
    )
    insecure: bool = Field(default=False, description="Listen on an address that other machines reach without a key.")
    keys: Path | None = Field(default=None, description="File of API keys, as `attendex keys` writes it.")
    api_key: SecretStr | None = Field(
        default=None, description="One admin key of 16 characters or more, in addition to those of the file."
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Names in the Host header that the service answers to, beside localhost and addresses; empty: "
        "every name, if it listens on a public address and needs a key.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses or networks of the proxies whose X-Forwarded headers name the caller."
    )
    writable: bool = Field(default=True, description="Accept changes of collections, not only searches.")
    agents_write: bool = Field(
        default=False, description="Offer tools that change documents to agents (MCP) with a write key."
    )
    encoder: str = Field(default="", description="Encoder for embeddings; empty: that of the first collection.")
    runtime: Literal["auto", "openvino", "torch"] = Field(default="auto", description="Runtime of the encoder.")
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(default="auto", description="Precision of the encoder.")
    rerankers: tuple[str, ...] = Field(
        default=(),
        description="Rerankers for searches and rerank routes, each a preset, FOLDER or NAME=FOLDER; the first "
        "is the default. Without any, rerank routes use cosines.",
    )
    rerank_ms: PositiveFloat = Field(
        default=1_000.0,
        description="Milliseconds that a search may wait for and spend on reranking; too few shorten the depth.",
    )
    partial: Literal["fail", "allow"] = Field(default="fail", description="A search of which a shard fails.")
    degrade: bool = Field(default=False, description="Under overload, answer hybrid searches from the lexical index.")
    reload_seconds: PositiveFloat = Field(default=0.5, description="Seconds between checks of collections and keys.")
    grace_seconds: NonNegativeFloat = Field(
        default=20.0, description="Seconds that running requests and changes may take after SIGTERM."
    )
    drain_seconds: NonNegativeFloat = Field(
        default=1.0, description="Seconds after SIGTERM in which the service accepts requests while /readyz says 503."
    )
    cors_origins: tuple[str, ...] = Field(default=(), description="Origins of the web pages that may call the service.")
    metrics: bool = Field(default=True, description="Serve Prometheus metrics at /metrics, without a key.")
    recall_sample: float = Field(
        default=0.001, ge=0, le=1, description="Share of live queries repeated exactly to measure recall; 0: none."
    )
    limits: RequestLimits = Field(default_factory=RequestLimits, description="Limits of a request.")
    queue: QueueSettings = Field(default_factory=QueueSettings, description="Queues.")
    rate: RateSettings = Field(default_factory=RateSettings, description="Rate limits.")
    log: LogSettings = Field(default_factory=LogSettings, description="Logging.")
    query_log: QueryLogSettings = Field(default_factory=QueryLogSettings, description="Query log.")
    uploads: UploadSettings = Field(default_factory=UploadSettings, description="Uploads of files.")
    jobs: JobSettings = Field(default_factory=JobSettings, description="Jobs.")
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings, description="Webhooks.")
    remote: RemoteSettings = Field(default_factory=RemoteSettings, description="Encoders behind a URL.")
    follow: FollowSettings = Field(default_factory=FollowSettings, description="Read replicas.")
    answer: AnswerSettings = Field(default_factory=AnswerSettings, description="Answers.")
    cluster: ClusterSettings = Field(default_factory=ClusterSettings, description="Shards on a Ray cluster.")

    @field_validator("api_key")
    @classmethod
    def _is_hard_to_guess(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and key.get_secret_value().split() != [key.get_secret_value()]:
            raise ValueError("is blank or contains spaces; a key is one word")
        if key is not None and len(key) < KEY_CHARACTERS:
            raise ValueError(
                f"has {len(key)} characters, and a key of fewer than {KEY_CHARACTERS} can be guessed; "
                "`openssl rand -hex 32` makes a good one"
            )
        return key

    @field_validator("processes", mode="before")
    @classmethod
    def _is_auto_or_a_number(cls, processes: object) -> object:
        text = str(processes)
        if text == "auto" or (text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_PROCESSES):
            return processes
        raise ValueError(f"{text[:20]!r} is not a number from 1 to {MAX_PROCESSES}, nor auto")

    @property
    def worker_processes(self) -> int:
        """The number of processes that serve."""
        return min(MAX_PROCESSES, max(1, cores() // 2)) if self.processes == "auto" else self.processes

    @property
    def accepts_changes(self) -> bool:
        return self.writable and not self.follow.source

    @property
    def has_keys(self) -> bool:
        """Whether requests need a key."""
        return self.keys is not None or self.api_key is not None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order: command line, environment, settings file."""
        file = init_settings().get("config") or os.environ.get(f"{PREFIX}CONFIG")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """The value of one setting and its source; secrets are masked."""

    name: str  # dotted, such as "limits.k"
    variable: str
    value: Any
    source: str
    help: str


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings; `flags` have dotted names.  Raises SettingsError."""
    nested = _nested(flags or {})
    file = nested.get("config") or os.environ.get(f"{PREFIX}CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"the settings file {file} does not exist; check --config or {PREFIX}CONFIG")
    try:
        return Settings(**nested)
    except PydanticValidationError as error:
        raise SettingsError(
            f"{wrong_values(error, Settings.model_fields)}. `attendex settings` lists the names and values"
        ) from error
    except ValueError as error:  # a settings file that is not TOML
        raise SettingsError(f"the settings cannot be read: {error}") from error


def describe(settings: Settings, flags: Mapping[str, Any] | None = None) -> list[EffectiveSetting]:
    """Return every setting with its value and its source, in the order of this file."""
    given = flags or {}
    in_file = _flat(TomlConfigSettingsSource(Settings, toml_file=settings.config)())
    environment = {name.upper() for name in os.environ}

    def source(name: str) -> str:
        if name in given:
            return "flag"
        if variable_of(name) in environment:
            return variable_of(name)
        return f"file {settings.config}" if name in in_file else "default"

    return [
        EffectiveSetting(name, variable_of(name), _value_of(settings, name), source(name), field.description or "")
        for name, field in fields_of(Settings)
    ]


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted name and the field of each setting, those of groups included."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, SettingsGroup):
            yield from fields_of(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def variable_of(name: str) -> str:
    """Return the environment variable of a dotted name."""
    return PREFIX + name.replace(".", "__").upper()


def _value_of(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    if isinstance(value, SecretStr):
        return MASKED
    if isinstance(value, tuple):
        return [each.model_dump(exclude_unset=True) if isinstance(each, BaseModel) else each for each in value]
    return str(value) if isinstance(value, Path) else value


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        *groups, last = name.split(".")
        members = nested
        for group in groups:
            members = members.setdefault(group, {})
        members[last] = value
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
    """Return flags of NAME=VALUE, read as TOML or else text.  Raises SettingsError."""
    known = {name for name, _ in fields_of(Settings)}
    flags: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            raise SettingsError(f"--set {assignment}: is not NAME=VALUE; `attendex settings` lists the names")
        try:
            flags[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            flags[name] = text
    return flags
