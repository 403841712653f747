"""Several text fields, searched fields and lists in cells, from the file to the hit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.building.document_changes import update_documents
from indexer.building.document_patches import DocumentPatch
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.maintenance.background_merge import merge_collection
from indexer.readers.base.options import ReadOptions
from retrieval.errors import BadDocument, InputError
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.settings import LexicalSettings
from retrieval.search.searcher import open_searcher
from retrieval.types import FieldType, SearchRequest
from service.cli import app

CSV = """sku,name,description,care,brand,colors,price
SKU-00042,Jacket,Keeps off rain.,Wash cold.,Northpeak,red|dark blue,50
SKU-00043,Tent,Sleeps two.,,Southridge,green,120
SKU-00421,Shoe,For running.,Brush it.,Northpeak,red,80
"""
READ = ReadOptions(
    id_field="sku",
    title_field="name",
    text_fields=("description", "care"),
    types={"colors": FieldType.STRINGS},
    list_separator="|",
)
SEARCHED = (("id", 2.0), ("brand", 1.5), ("colors", 1.0))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.csv").write_text(CSV)
    settings = BuildSettings(read=READ, lexical=LexicalSettings(searched=SEARCHED), schema=READ.types)
    build_collection([tmp_path / "shop.csv"], tmp_path / "shop", settings)
    return tmp_path / "shop"


def found(shop: Path, query: str, **options: Any) -> list[str]:
    with open_searcher(shop) as searcher:
        options = {"mode": "lexical", "syntax": "operators", "typos": False, **options}
        return [hit.id for hit in searcher.search(SearchRequest(query, **options)).hits]


def test_texts_are_joined_and_lists_are_cut(shop: Path) -> None:
    with open_searcher(shop) as searcher:
        jacket, tent = searcher.document("SKU-00042"), searcher.document("SKU-00043")
    assert (jacket.title, jacket.text) == ("Jacket", "Keeps off rain.\n\nWash cold.")
    assert jacket.metadata == {"brand": "Northpeak", "colors": ("red", "dark blue"), "price": 50}
    assert tent.text == "Sleeps two."


def test_ids_and_fields_are_searched(shop: Path) -> None:
    assert found(shop, "SKU-00042")[0] == "SKU-00042"
    assert found(shop, "00043") == ["SKU-00043"]
    assert found(shop, '"sku 00421"') == ["SKU-00421"]
    assert set(found(shop, "northpeak")) == {"SKU-00042", "SKU-00421"}
    assert found(shop, "northpeak shoe")[0] == "SKU-00421"
    assert found(shop, '"dark blue"') == ["SKU-00042"]
    assert found(shop, "SKU-00042", mode="hybrid")[0] == "SKU-00042"


def test_an_explanation_names_the_searched_fields_of_a_term(shop: Path) -> None:
    with open_searcher(shop) as searcher:
        lexical = searcher.explain("northpeak rain 00042", "SKU-00042").lexical
    assert lexical is not None
    assert {part.term: part.fields for part in lexical.terms} == {"northpeak": ("brand",), "rain": (), "00042": ("id",)}


def test_searched_fields_are_changed_later(shop: Path) -> None:
    def reindex(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["reindex", str(shop), *arguments], env={"COLUMNS": "200"})

    build = BuildSettings(read=READ, lexical=LexicalSettings(searched=(("brand", 3.0),)), schema=READ.types)
    with pytest.raises(InputError, match=r"searched is .* change it by `attendex reindex .*shop`"):
        build_collection([shop.parent / "shop.csv"], shop, build)
    done = reindex("--searched-field", "brand=3", "--json")
    assert json.loads(done.output)["lexical"]["searched"] == [["brand", 3.0]]
    assert build_collection([shop.parent / "shop.csv"], shop, build).unchanged == 3
    assert set(found(shop, "northpeak")) == {"SKU-00042", "SKU-00421"}
    assert found(shop, "00043") == []
    fresh = shop.parent / "fresh"
    build_collection([shop.parent / "shop.csv"], fresh, build)
    scores = []
    for path in (shop, fresh):
        with open_searcher(path) as searcher:
            scores.append([hit.score for hit in searcher.search(SearchRequest("northpeak shoe", mode="lexical")).hits])
    assert scores[0] == scores[1]
    for arguments, says in (
        (("--searched-field", "brnd"), "did you mean 'brand'?"),
        (("--searched-field", "brand=x"), "write FIELD or FIELD=WEIGHT"),
        (("--searched-field", "id", "--no-searched-fields"), "give fields, or --no-searched-fields"),
        ((), "name a setting to change"),
        (("--title-weight", "0"), "title_weight is 0.0; it must be from 0.1 to 100"),
    ):
        refused = reindex(*arguments)
        assert (refused.exit_code != 0, says in " ".join(refused.output.split())) == (True, True), refused.output
    assert read_manifest(shop).generation == 2


def test_words_of_searched_fields_are_suggested(shop: Path) -> None:
    with open_searcher(shop) as searcher:
        assert searcher.suggest("northp").words == ("northpeak",)


def test_a_new_value_of_a_searched_field_is_found(shop: Path) -> None:
    before = read_manifest(shop)
    update_documents(shop, [DocumentPatch("SKU-00043", {"price": 99})])
    assert read_manifest(shop).lexical == before.lexical
    update_documents(shop, [DocumentPatch("SKU-00043", {"brand": "Westlake"})])
    assert found(shop, "westlake") == ["SKU-00043"]
    assert found(shop, "southridge") == []
    (shop.parent / "shop.csv").write_text(CSV.replace("Southridge", "Eastmoor").replace(",80", ",70"))
    report = build_collection([shop.parent / "shop.csv"], shop, BuildSettings(read=READ))
    assert (report.added, report.updated, report.unchanged) == (1, 1, 1)
    merge_collection(shop, fully=True)
    assert found(shop, "eastmoor") == ["SKU-00043"]
    assert found(shop, "westlake") == []


def test_a_record_needs_one_of_the_text_fields(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"id": "a", "care": "Wash."}\n{"id": "b", "brand": "Northpeak"}\n')
    with pytest.raises(BadDocument, match="'description' or 'care' is missing"):
        build_collection(
            [tmp_path / "records.jsonl"],
            tmp_path / "c",
            BuildSettings(read=ReadOptions(text_fields=("description", "care"))),
        )
