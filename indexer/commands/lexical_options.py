"""Values of options of the lexical index, as the command line has them."""

from __future__ import annotations

from pathlib import Path

import typer


def searched_field(text: str) -> tuple[str, float]:
    """Return the name and the weight of a searched field.  Raises BadParameter."""
    name, separator, weight = text.rpartition("=")
    if not separator:
        return text, 1.0
    try:
        return name, float(weight)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write FIELD or FIELD=WEIGHT", param_hint="--searched-field") from None


def stop_words_of(text: str) -> str | tuple[str, ...]:
    """Return `language`, `none`, or the words of a file.  Raises InputError."""
    from retrieval.index.lexical.stop_words import read_stop_words

    return text if text in ("language", "none") else read_stop_words(Path(text))
