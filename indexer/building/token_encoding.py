"""Encode passages to the token codes that a collection stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrieval.encoder.checkpoint.hub import locate_late_interaction, recorded_name
from retrieval.encoder.late_interaction import LateInteractionEncoder, load_late_interaction
from retrieval.errors import InputError
from retrieval.index.storage.settings import TokenSettings
from retrieval.index.vectors.token_codes import TokenCodec, TokenCodes
from retrieval.search.encoder_check import check_fingerprint

ENCODED_TOGETHER = 128  # passages whose token vectors are in memory at a time


class TokenEncoder:
    """Encodes the passages of one collection.  Safe to call from several threads."""

    def __init__(self, encoder: LateInteractionEncoder, bits: int) -> None:
        self._encoder = encoder
        self._codec = TokenCodec(encoder.dimension, bits)

    def codes(self, texts: Sequence[str], *, save_cpu: bool = False) -> TokenCodes:
        """Return the token codes of passages, in bounded memory."""
        starts = range(0, max(1, len(texts)), ENCODED_TOGETHER)
        parts = (texts[start : start + ENCODED_TOGETHER] for start in starts)
        return TokenCodes.joined(
            [self._codec.encode(self._encoder.encode_passages(part, save_cpu=save_cpu)) for part in parts]
        )


class TokenEncoders:
    """Late-interaction models by name, loaded on first use.  For one thread."""

    def __init__(self) -> None:
        self._loaded: dict[str, LateInteractionEncoder] = {}

    def settings(self, name: str, bits: int) -> TokenSettings | None:
        """Return the settings of a new collection; None without a name."""
        return TokenSettings(self._load(name).fingerprint, bits) if name else None

    def encoder(self, collection: Path, settings: TokenSettings | None) -> TokenEncoder | None:
        """Return the encoder of a collection's token vectors, if it stores them.

        Raises EncoderError if the model is not on this machine, EncoderMismatch for another one.
        """
        if settings is None:
            return None
        encoder = self._load(settings.encoder.name)
        check_fingerprint(collection.name, settings.encoder, encoder.fingerprint)
        return TokenEncoder(encoder, settings.bits)

    def _load(self, name: str) -> LateInteractionEncoder:
        if name not in self._loaded:
            self._loaded[name] = load_late_interaction(locate_late_interaction(name), recorded_name(name))
        return self._loaded[name]


def check_tokens(collection: Path, kept: TokenSettings | None, given: TokenSettings | None) -> None:
    """Raise InputError if a build asks for other token vectors than the collection's."""
    if given is None or (kept is not None and kept.bits == given.bits and not kept.encoder.differences(given.encoder)):
        return
    stored = f"token vectors of {kept.encoder.name!r} in {kept.bits} bits" if kept else "no token vectors"
    raise InputError(
        f"{collection}: stores {stored}, not those of {given.encoder.name!r} in {given.bits} bits; leave "
        "--late-interaction out, or index into a new directory"
    )
