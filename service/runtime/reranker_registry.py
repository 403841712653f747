"""The rerankers of the settings, loaded once and shared by all requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from retrieval.errors import NotFound, SettingsError
from retrieval.search.rerankers import TimedReranker, load_reranker
from service.runtime.encoder_registry import DEFAULT_ALIASES


class RerankerRegistry:
    """Rerankers by the names of the settings.  Safe to use from several threads."""

    def __init__(self, rerankers: Mapping[str, TimedReranker]) -> None:
        self._rerankers = rerankers

    def __bool__(self) -> bool:
        return bool(self._rerankers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, that of the default first."""
        return tuple(self._rerankers)

    def get(self, name: str) -> TimedReranker:
        """Return the reranker of a caller's name; "", "default": the first.

        Raises NotFound, which names the rerankers.
        """
        if not self._rerankers:
            raise NotFound("this service has no reranker; start it with --reranker NAME=FOLDER")
        if name in DEFAULT_ALIASES:
            name = self.names[0]
        if name not in self._rerankers:
            raise NotFound(
                f"no reranker {name!r} here; use one of {', '.join(self.names)}, or `default` for the first of them"
            )
        return self._rerankers[name]


def load_rerankers(words: Sequence[str], runtime: str, precision: str) -> RerankerRegistry:
    """Load the rerankers of the setting.  Raises SettingsError, EncoderError.

    A word is a preset, a folder, whose last part is the name, or NAME=FOLDER.
    """
    folders: dict[str, str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals:
            name, folder = Path(word).name, word
        if not name or name in folders or name in DEFAULT_ALIASES:
            raise SettingsError(f"rerankers: the name {name!r} is empty, reserved or used twice; write NAME=FOLDER")
        folders[name] = folder
    return RerankerRegistry(
        {
            name: TimedReranker(name, load_reranker(folder, runtime=runtime, precision=precision))
            for name, folder in folders.items()
        }
    )
