"""`attendex reindex`: change how the words of a collection are searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from indexer.commands.lexical_options import searched_field, stop_words_of
from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


def _option(help: str) -> Any:
    return typer.Option(help=f"{help}; default: as it is.", show_default=False)


@reports_errors
def reindex(
    collection: CollectionArgument,
    searched: Annotated[
        list[str] | None,
        typer.Option(
            "--searched-field",
            help="Metadata field, or id, whose terms are searched, as brand or brand=2; replaces all present ones.",
            show_default=False,
        ),
    ] = None,
    no_searched_fields: Annotated[
        bool, typer.Option("--no-searched-fields", help="Search title and text alone.")
    ] = False,
    title_weight: Annotated[float | None, _option("How many times a term in the title counts")] = None,
    language: Annotated[str | None, _option("Snowball stemmer for the terms, or none; several: english,german")] = None,
    stop_words: Annotated[str | None, _option("Words that queries leave out: language, none, or a file")] = None,
    k1: Annotated[float | None, _option("BM25: weight of a term's repetition")] = None,
    b: Annotated[float | None, _option("BM25: penalty for the length of a passage, 0 to 1")] = None,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Change how the words of a collection are searched; nothing is encoded again.

    Settings that are not given stay.  For searched fields, the title's weight and the language, the command reads all
    texts and writes the lexical index again.  The result is a new generation; `attendex rollback` goes back.

    Examples:

      attendex reindex shop --searched-field brand=2 --searched-field id

      attendex reindex papers --title-weight 2 --language english,german
    """
    from indexer.maintenance.change_settings import SettingsChange, change_settings
    from retrieval.index.storage.manifest import read_manifest

    given: dict[str, Any] = {"title_weight": title_weight, "language": language, "k1": k1, "b": b}
    changes = {name: value for name, value in given.items() if value is not None}
    if stop_words is not None:
        changes["stop_words"] = stop_words_of(stop_words)
    if searched or no_searched_fields:
        changes["searched"] = _searched(searched or [], none=no_searched_fields)
    if not changes:
        raise typer.BadParameter("name a setting to change, such as --title-weight 2", param_hint="collection")
    generation = change_settings(collection, SettingsChange(changes), cause="reindex", wait_s=wait)
    lexical = read_manifest(collection).settings.lexical
    if as_json:
        print_json({"generation": generation, "lexical": lexical and asdict(lexical)})
    else:
        stderr().print(f"{Path(collection).name}: {', '.join(changes)}; generation {generation}", markup=False)


def _searched(texts: Sequence[str], *, none: bool) -> tuple[tuple[str, float], ...]:
    """Return names and weights of fields.  Raises BadParameter."""
    if texts and none:
        raise typer.BadParameter("give fields, or --no-searched-fields", param_hint="--searched-field")
    return tuple(map(searched_field, texts))
