"""The name of a remote encoder, decoded: `openai:URL#model&max_tokens=8191`.

The name holds everything that decides vectors, since the manifest records it and every later command reads it there.
It never holds a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from retrieval.errors import EncoderError
from retrieval.types import EncoderFingerprint
from retrieval.util.remote_names import REMOTE_KINDS

SYNTAX = "write openai:URL#MODEL, tei:URL or ollama:URL#MODEL, and options after it as &max_tokens=512"
ESTIMATED_TOKENS = "estimated tokens"  # stands for the digest of a tokenizer
MAX_NAME_CHARACTERS = 2_000
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
BATCH_TEXTS = {"openai": 128, "tei": 32, "ollama": 32}  # TEI refuses more than 32 unless its setting is raised


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """A remote encoder.  A prompt stands before each text; a type is sent beside it.

    A type is `input_type` of an OpenAI-compatible service, or `prompt_name` of TEI.
    """

    kind: str
    url: str  # without a slash at the end
    model: str
    dimensions: int = 0  # asked for; 0: those of the model
    max_tokens: int = 512  # of a text, with its prompt; estimated
    query_prompt: str = ""
    passage_prompt: str = ""
    query_type: str = ""
    passage_type: str = ""
    encoding: str = "base64"  # or float: of an OpenAI-compatible service
    batch: int = 0  # texts of a request; 0: as the kind of service takes them
    batch_tokens: int = 16_384  # of a request, estimated
    parallel: int = 4  # requests at a time while indexing
    rpm: int = 0  # requests a minute; 0: no limit
    tpm: int = 0  # tokens a minute, estimated; 0: no limit
    timeout: int = 60  # seconds of a request while indexing
    query_timeout: int = 5  # seconds for a query, retries included
    retries: int = 6  # of a request while indexing

    def __post_init__(self) -> None:
        for name in ("max_tokens", "batch_tokens", "parallel", "timeout", "query_timeout"):
            if getattr(self, name) < 1:
                raise EncoderError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.max_tokens > 131_072 or self.parallel > 64 or self.batch > 2_048:
            raise EncoderError("max_tokens must be at most 131,072, parallel at most 64, and batch at most 2,048")
        if self.encoding not in ("base64", "float"):
            raise EncoderError(f"encoding is {self.encoding!r}; choose base64 or float")
        if self.kind == "ollama" and (self.query_type or self.passage_type):
            raise EncoderError("Ollama knows no types of texts; give query_prompt and passage_prompt instead")

    @property
    def name(self) -> str:
        """The name that `parse_remote` decodes to this, without options of default value."""
        given = {
            each.name: getattr(self, each.name) for each in fields(self)[3:] if getattr(self, each.name) != each.default
        }
        fragment = "&".join(filter(None, [self.model, urlencode(given)]))
        return f"{self.kind}:{self.url}" + (f"#{fragment}" if fragment else "")

    @property
    def origin(self) -> str:
        """Scheme, host and port, by which users allow a service."""
        return origin_of(urlsplit(self.url))

    @property
    def batch_texts(self) -> int:
        return self.batch or BATCH_TEXTS[self.kind]

    @property
    def is_private(self) -> bool:
        """Whether no other machine can read a request on its way."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or parts.hostname in LOCAL_HOSTS

    def fingerprint(self, dimension: int) -> EncoderFingerprint:
        """Return the identity: not the address, which may change, but what is asked there."""
        types = f", types {self.query_type}/{self.passage_type}" if self.query_type or self.passage_type else ""
        return EncoderFingerprint(
            name=self.name,
            weights_sha256=f"{self.kind} {self.model}".strip(),
            tokenizer_sha256=ESTIMATED_TOKENS,
            pooling=f"remote{types}",
            normalize=True,
            query_prompt=self.query_prompt,
            passage_prompt=self.passage_prompt,
            max_tokens=self.max_tokens,
            dimension=dimension,
        )


def origin_of(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}:{port}"


def parse_remote(name: str) -> RemoteSpec:
    """Decode the name of a remote encoder.  Raises EncoderError."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise EncoderError(f"the encoder's name has {len(name):,} characters; at most {MAX_NAME_CHARACTERS:,}")
    kind, _, rest = name.partition(":")
    url, _, fragment = rest.partition("#")
    if kind not in REMOTE_KINDS:
        raise EncoderError(f"{name!r} names no remote encoder; {SYNTAX}")
    _check_url(url)
    model, options = _fragment(fragment)
    if not model and kind != "tei":
        raise EncoderError(f"{name!r} names no model; {SYNTAX}")
    return RemoteSpec(kind, url.rstrip("/"), model, **_typed(options))


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise EncoderError(f"{url!r} is not an address ({error}); {SYNTAX}") from error
    if parts.username or parts.password or parts.query:  # the manifest would record a key in them
        raise EncoderError(
            "the URL of an encoder must hold no user, password or query, because the collection records it; put the "
            "key into ATTENDEX_REMOTE__KEY or into a file (ATTENDEX_REMOTE__KEY_FILE)"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EncoderError(f"{url!r} is not an http or https address; {SYNTAX}")


def _fragment(fragment: str) -> tuple[str, dict[str, str]]:
    """Return the model and the options after `#`."""
    first, _, rest = fragment.partition("&")
    if "=" in first:
        first, rest = "", fragment
    try:
        return unquote(first), dict(parse_qsl(rest, keep_blank_values=True, strict_parsing=True)) if rest else {}
    except ValueError as error:
        raise EncoderError(f"the options {rest!r} cannot be read ({error}); {SYNTAX}") from error


def _typed(options: Mapping[str, str]) -> dict[str, Any]:
    known = {each.name: each.type for each in fields(RemoteSpec)[3:]}
    typed: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            nearest = get_close_matches(name, known, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise EncoderError(f"no option {name!r} of a remote encoder{hint} There are {', '.join(known)}")
        if known[name] == "int" and not (value.isascii() and value.isdigit() and len(value) < 12):
            raise EncoderError(f"{name} is {value!r}; it must be a whole number")
        typed[name] = int(value) if known[name] == "int" else value
    return typed
