"""Name a better encoder when the encoder of a build cannot read the text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.util.terminal import stderr

if TYPE_CHECKING:
    from indexer.building.pipeline import BuildReport


class EncoderAdvice:
    """Says once that the encoder cannot read the text, and how to use `multilingual`."""

    def __init__(self, sources: Sequence[str], into: Path) -> None:
        self._sources = sources
        self._into = into
        self._said = False

    def at_start(self, share: float) -> None:
        """Print the commands before the first documents are encoded."""
        again = shlex.join(["attendex", "index", *self._sources, "--into", str(self._into)])
        self._say(
            f"the default encoder cannot read {share:.0%} of the first documents: their words alone will decide the "
            f"ranking. To search by meaning, stop with Ctrl-C and run: {_get()}{again} {_option()}; or let this run "
            f"end, and then run: {self._switch()}"
        )

    def at_end(self, report: BuildReport) -> None:
        """Print how to switch the encoder, if the collection turns out to be unreadable."""
        from indexer.building.readability_sample import MOST_UNREADABLE
        from retrieval.encoder.checkpoint.presets import MULTILINGUAL

        share = report.unreadable_share or 0.0
        if share > MOST_UNREADABLE and not self._said and report.encoder.partition("@")[0] != MULTILINGUAL.name:
            self._say(
                f"the encoder cannot read {share:.0%} of the collection; to use one for other languages, run: "
                f"{_get()}{self._switch()}"
            )

    def _switch(self) -> str:
        return f"{shlex.join(['attendex', 'reembed', str(self._into)])} {_option()}"

    def _say(self, text: str) -> None:
        self._said = True
        stderr().print(text, style="yellow")


def _option() -> str:
    from retrieval.encoder.checkpoint.presets import MULTILINGUAL

    return f"--encoder {MULTILINGUAL.name}"


def _get() -> str:
    """Return the command that brings the encoder here, unless it is here."""
    from retrieval.encoder.checkpoint.presets import MULTILINGUAL, PresetName

    here = PresetName(MULTILINGUAL, "").folder() is not None
    return "" if here else f"attendex encoders get {MULTILINGUAL.name} && "
