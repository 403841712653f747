"""Search a shop of 20,000 products as its developer does: sorted and misspelt.

    python -m benchmarks.shop
    python -m benchmarks.shop --traps

Half of the descriptions of jackets say neither "jacket" nor "rain", but "anorak", "keeps you dry" and the like; tents
and umbrellas say "rain".  With `--traps` there are cheaper products that say a word of the query in another sense, such
as a book about a rainy summer with a dust jacket.  For each query, sorted by price, the table has the kinds of the
first ten hits, and the share of the counted documents (match set) of a wanted kind.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Prefix, SearchRequest

BATCH = 5_000
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product: its names, and what its descriptions say."""

    names: tuple[str, ...]
    says: tuple[str, ...]
    least: int  # price
    most: int


KINDS = {
    "rain jacket": Kind(
        ("rain jacket", "waterproof jacket", "anorak", "hooded raincoat", "cycling cape"),
        (
            "Keeps you dry in a downpour.",
            "Sealed seams and a hood against wet weather.",
            "A light jacket for rainy days.",
            "Packs into its own pocket; the shell sheds water.",
        ),
        40,
        300,
    ),
    "rain trousers": Kind(
        ("rain trousers", "waterproof overtrousers"),
        ("Worn over other trousers in the rain.", "Keeps your legs dry on the bicycle."),
        25,
        120,
    ),
    "winter jacket": Kind(
        ("down jacket", "ski jacket", "parka"),
        ("Warm in frost and snow.", "Filled with down, with a high collar."),
        80,
        500,
    ),
    "sneakers": Kind(
        ("sneakers", "running shoes", "trainers"),
        ("A soft sole for the street.", "Breathable canvas with rubber soles."),
        30,
        180,
    ),
    "monitor": Kind(
        ("monitor", "curved monitor", "office display"),
        ("27 inches and thin edges.", "Sharp text and even colours for the desk.", "With a stand that turns."),
        90,
        900,
    ),
    "umbrella": Kind(("umbrella", "folding umbrella"), ("Opens at a button, also in wind and rain.",), 8, 60),
    "kettle": Kind(("kettle", "water kettle"), ("Boils a litre of water in two minutes.",), 15, 120),
    "tent": Kind(("tent", "dome tent"), ("Room for two, with a rain fly.", "Stands in ten minutes."), 60, 600),
    "book": Kind(
        ("novel", "cook book", "guide book"),
        ("With a dust jacket.", "A story of a rainy summer.", "Recipes for every day."),
        6,
        40,
    ),
    "weather station": Kind(("weather station",), ("Measures rain, wind and air pressure.",), 40, 250),
    "potatoes": Kind(("baking potatoes",), ("For jacket potatoes from the oven.",), 2, 9),
    "lamp": Kind(("desk lamp", "floor lamp"), ("Warm light that can be dimmed.",), 12, 160),
}
BRANDS = ("Alder", "Brook", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heath", "Inlet", "Juniper")
COLOURS = ("black", "blue", "green", "grey", "red", "yellow")
TRAPS = ("book", "potatoes", "weather station")
RAINWEAR = ("rain jacket", "rain trousers", "winter jacket")
QUERIES: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (  # query, options, wanted kinds
    ("rain jacket", {}, RAINWEAR),
    ("rian jaket", {}, RAINWEAR),
    ("jack", {"prefix": Prefix.LAST}, RAINWEAR),
    ("sneekers", {}, ("sneakers",)),
    ("something that keeps me dry on my bicycle", {}, (*RAINWEAR, "umbrella")),
    ("curved monitor for the office", {}, ("monitor",)),
)


def products(count: int, *, traps: bool) -> Iterator[Document]:
    """Yield products; equal numbers have equal products."""
    names = [name for name in KINDS if traps or name not in TRAPS]
    for number in range(count):
        dice = random.Random(number)
        name = dice.choice(names)
        kind = KINDS[name]
        title = f"{dice.choice(BRANDS)} {dice.choice(kind.names)}, {dice.choice(COLOURS)}, model {number}"
        text = " ".join(dice.sample(kind.says, min(2, len(kind.says))))
        yield Document(f"SKU-{number:05}", text, title, {"kind": name, "price": dice.randint(kind.least, kind.most)})


def build(path: Path, count: int, *, traps: bool) -> Searcher:
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    made = list(products(count, traps=traps))
    for start in range(0, count, BATCH):
        apply_changes(path, encoder, [CollectionChange(tuple(made[start : start + BATCH]))])
    return open_searcher(path, encoder=encoder)


def run(searcher: Searcher) -> None:
    """Print a line for each query."""
    print("| query | first ten by price | counted | of a wanted kind |\n| --- | --- | --- | --- |")
    for query, options, wanted in QUERIES:
        request = SearchRequest(query, k=SHOWN, sort="price", facets=("kind",), **options)
        result = searcher.search(request)
        counts = {str(each.value): each.count for each in result.facets["kind"]}
        total = sum(counts.values())
        right = sum(counts.get(kind, 0) for kind in wanted)
        first = sorted({str(hit.metadata["kind"]) for hit in result.hits})
        print(f"| {query} | {', '.join(first)} | {total:,} | {right / max(1, total):.1%} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--traps", action="store_true", help="add products that say the words in another sense")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="attendex-shop-") as folder:
        searcher = build(Path(folder, "shop"), given.products, traps=given.traps)
        try:
            run(searcher)
        finally:
            searcher.close()


if __name__ == "__main__":
    main()
