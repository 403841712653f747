"""Which services may be asked for vectors, and with which key.

A collection that another person made may name any URL.  So a URL that a manifest names is asked only if its origin is
allowed; a URL that the user gives in a command is allowed by that.  Keys come from the environment or from a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from retrieval.encoder.remote.spec import RemoteSpec, origin_of
from retrieval.errors import EncoderError, SettingsError

ALLOW, KEY, KEY_FILE = "ATTENDEX_REMOTE__ALLOW", "ATTENDEX_REMOTE__KEY", "ATTENDEX_REMOTE__KEY_FILE"
MAX_KEY_FILE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """Allowed origins and keys.  Keys are in no representation of it."""

    allowed: frozenset[str] = frozenset()
    key: str = field(default="", repr=False)  # for every allowed origin without a key of its own
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)  # by origin

    def require(self, spec: RemoteSpec) -> None:
        """Raise EncoderError unless a URL that a collection names may be asked."""
        if spec.origin not in self.allowed:
            raise EncoderError(
                f"the collection's encoder is the remote service {spec.url}, which is not allowed here: its queries "
                f"and your key would go there. If you trust it, set {ALLOW}={spec.origin} (setting remote.allow), or "
                "name it yourself with --encoder"
            )

    def key_of(self, spec: RemoteSpec) -> str:
        """Return the key for a service, or ""; raise EncoderError if others could read it."""
        key = self.keys.get(spec.origin, self.key)
        if key and not spec.is_private:
            raise EncoderError(
                f"{spec.url} is not https, so that others could read the key; use https, or unset the key of it"
            )
        return key


def make_access(allow: str, key: str, key_file: Path | None) -> RemoteAccess:
    """Return the access of settings.

    `allow` has origins, separated by commas or spaces.  A line of the file is a key, or an origin and its key.
    Raises SettingsError.
    """
    common, keys = _read_keys(key_file) if key_file else ("", {})
    return RemoteAccess(frozenset(map(_origin, allow.replace(",", " ").split())), key.strip() or common, keys)


def access_from_environment() -> RemoteAccess:
    """Return the access that environment variables give.  Raises SettingsError."""
    file = os.environ.get(KEY_FILE, "")
    return make_access(os.environ.get(ALLOW, ""), os.environ.get(KEY, ""), Path(file) if file else None)


def _origin(text: str) -> str:
    origin = _parsed_origin(text)
    if origin is None:
        raise SettingsError(f"{text!r} in {ALLOW} is no origin; write https://host or http://host:port")
    return origin


def _parsed_origin(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and not parts.username:
            return origin_of(parts)
    except ValueError:
        return None
    return None


def _read_keys(path: Path) -> tuple[str, dict[str, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(MAX_KEY_FILE_BYTES).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the key file {path} cannot be read ({type(error).__name__}); check {KEY_FILE}") from None
    common, keys = "", {}
    for number, words in enumerate(map(str.split, lines), 1):
        if not words or words[0].startswith("#"):
            continue
        origin = _parsed_origin(words[0]) if len(words) == 2 else ""
        if len(words) > 2 or origin is None:  # the message must not show a key
            raise SettingsError(f"{path}: line {number} is neither a key nor an origin and its key")
        if origin:
            keys[origin] = words[1]
        else:
            common = words[0]
    return common, keys
