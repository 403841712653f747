"""Other settings for the same documents, in a generation that can be rolled back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.backup import restore_backup, save_backup
from indexer.maintenance.change_settings import SettingsChange, change_settings
from indexer.maintenance.linked_copy import linked_copy
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from indexer.writing.garbage import Retention
from indexer.writing.writer import Writer
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.pins import PinRule
from retrieval.index.storage.settings import LexicalSettings, SearchDefaults
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.types import Document
from service.cli import app
from tests.indexer.conftest import Bench

DOCUMENTS = [
    Document("a", "the wing of a bird", "flying"),
    Document("b", "flying over the sea, flying home, flying far and flying on and on over land and sea", "travel"),
    Document("c", "a sea bird"),
]


@pytest.fixture
def collection(bench: Bench) -> Path:
    """Three documents with words."""
    made = replace(bench, settings=replace(bench.settings, lexical=LexicalSettings()))
    with Writer(made.path, create=made.settings) as writer:
        made.put(writer, DOCUMENTS)
        writer.commit()
    return made.path


def scores(path: Path, query: str) -> list[float]:
    with open_index_reader(path) as reader:
        assert reader.lexical is not None
        return reader.lexical.score(ParsedQuery(query), np.arange(reader.rows)).round(5).tolist()


def test_scoring_changes_without_another_index(collection: Path) -> None:
    before, words = scores(collection, "flying"), read_manifest(collection).lexical
    change = SettingsChange({"k1": 0.6, "b": 0.0, "stop_words": ("flying",)})
    assert change_settings(collection, change, cause="tune") == 2
    manifest = read_manifest(collection)
    assert manifest.lexical == words
    assert manifest.settings.lexical == LexicalSettings(k1=0.6, b=0.0, stop_words=("flying",))
    assert manifest.cause == "tune"
    assert scores(collection, "flying") != before
    roll_back(collection)
    assert scores(collection, "flying") == before


def test_another_title_weight_is_that_of_a_fresh_build(collection: Path, bench: Bench, tmp_path: Path) -> None:
    change_settings(collection, SettingsChange({"title_weight": 3.0}))
    fresh = replace(bench.settings, lexical=LexicalSettings(title_weight=3.0))
    with Writer(tmp_path / "fresh", create=fresh) as writer:
        bench.put(writer, DOCUMENTS)
        writer.commit()
    assert scores(collection, "flying bird") == scores(tmp_path / "fresh", "flying bird")


SYNONYMS = (SynonymRule(("bird", "animal")), SynonymRule(("ocean",), ("sea bird", "sea")))


def found(path: Path, query: str) -> set[str]:
    with open_index_reader(path) as reader:
        assert reader.lexical is not None
        rows = reader.lexical.search(ParsedQuery(query, synonyms=True), 9).rows
        return set(reader.ids(reader.document_of[rows]))


def test_synonyms_belong_to_a_generation(collection: Path, bench: Bench, tmp_path: Path) -> None:
    assert found(collection, "ocean") == set()
    assert change_settings(collection, SettingsChange(synonyms=SYNONYMS)) == 2
    assert found(collection, "ocean") == {"b", "c"}
    with Writer(collection) as writer:  # a later change keeps them
        bench.put(writer, [Document("d", "sea weed")])
        writer.commit()
    assert found(collection, "ocean") == {"b", "c", "d"}
    merge_collection(collection, fully=True, retention=Retention(count=9))
    save_backup(collection, tmp_path / "backup.tar.zst")
    restore_backup(tmp_path / "backup.tar.zst", tmp_path / "restored")
    for path in (collection, tmp_path / "restored"):
        assert read_manifest(path).settings.synonyms == SYNONYMS
        assert found(path, "ocean") == {"b", "c", "d"}
        assert verify(path).ok
    roll_back(collection, 1)
    assert (found(collection, "ocean"), read_manifest(collection).settings.synonyms) == (set(), ())


def test_the_command_shows_and_replaces_synonyms(collection: Path, tmp_path: Path) -> None:
    def invoke(*arguments: object, text: str = "") -> str:
        result = CliRunner().invoke(app, ["synonyms", str(collection), *map(str, arguments)], input=text)
        assert result.exit_code == 0, result.output
        return result.output

    assert invoke() == "# no synonyms\n"
    lines = "bird, animal\nocean => sea bird, sea\n"
    (tmp_path / "rules.txt").write_text(f"# rules\n{lines}")
    assert "2 rules of synonyms; generation 2" in invoke(tmp_path / "rules.txt")
    assert read_manifest(collection).settings.synonyms == SYNONYMS
    assert invoke() == lines
    assert "generation 2" in invoke("-", text=lines)  # nothing to change
    assert json.loads(invoke("--clear", "--json")) == {"generation": 3, "synonyms": []}
    wrong = CliRunner().invoke(app, ["synonyms", str(collection), "-"], input="bird\n")
    assert (wrong.exit_code, "line 1: the synonyms 'bird' have 1 phrases" in wrong.output) == (1, True)


def test_the_command_shows_and_replaces_pins(collection: Path) -> None:
    def invoke(*arguments: object, text: str = "") -> str:
        result = CliRunner().invoke(app, ["pins", str(collection), *map(str, arguments)], input=text)
        assert result.exit_code == 0, result.output
        return result.output

    line = '{"queries": ["ocean"], "documents": ["b"]}'
    assert "1 pins; generation 2" in invoke("-", text=f"{line}\n")
    assert read_manifest(collection).settings.pins == (PinRule(("ocean",), ("b",)),)
    assert invoke() == f"{line}\n"
    change_settings(collection, SettingsChange(synonyms=SYNONYMS))
    assert json.loads(invoke("--json")) == {"generation": 3, "pins": [json.loads(line)]}
    assert "0 pins; generation 4" in invoke("--clear")
    roll_back(collection)
    assert invoke() == f"{line}\n"


def test_search_defaults_are_kept_and_nothing_to_change_writes_nothing(collection: Path) -> None:
    adjustment = SettingsChange({}, SearchDefaults(weight=0.3))
    assert change_settings(collection, adjustment) == 2
    assert read_manifest(collection).settings.search == SearchDefaults(weight=0.3)
    assert change_settings(collection, adjustment) == 2


def test_what_does_not_fit_is_refused_and_nothing_changes(collection: Path, bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="b is 2"):
        change_settings(collection, SettingsChange({"b": 2}))
    with Writer(tmp_path / "wordless", create=replace(bench.settings, lexical=None)) as writer:
        bench.put(writer, DOCUMENTS)
        writer.commit()
    with pytest.raises(InputError, match="has no lexical index"):
        change_settings(tmp_path / "wordless", SettingsChange({"k1": 1.0}))
    assert read_manifest(collection).generation == read_manifest(tmp_path / "wordless").generation == 1


def test_a_copy_is_a_copy(collection: Path, bench: Bench) -> None:
    files = {path.relative_to(collection): path.read_bytes() for path in collection.rglob("*") if path.is_file()}
    with linked_copy(collection) as copy:
        assert copy.name == collection.name
        with Writer(copy) as writer:
            bench.put(writer, [Document("d", "another one")])
            writer.delete(["a"])
            writer.commit()
        change_settings(copy, SettingsChange({"title_weight": 2.0}, SearchDefaults(weight=0.1)))
    assert not copy.exists()
    assert files == {
        path.relative_to(collection): path.read_bytes() for path in collection.rglob("*") if path.is_file()
    }
