"""Measure partial updates: 5,000 new prices in a shop of 20,000 products.

    python -m benchmarks.partial_updates
    python -m benchmarks.partial_updates --products 20000 --changes 5000

Each change is timed from the call until a reader has opened the generation that has it, the loading of the encoder
aside.  Beside it stands the same number of documents that get new texts and must be encoded.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes
from indexer.building.document_patches import DocumentPatch
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.types import Document, Metadata

KINDS = (
    "rain jacket",
    "running shoe",
    "tent",
    "sleeping bag",
    "monitor",
    "keyboard",
    "kettle",
    "desk lamp",
    "backpack",
)
MATERIALS = ("cotton", "wool", "steel", "nylon", "leather", "aluminium", "bamboo", "recycled polyester")
USES = ("hiking", "the office", "travel", "rainy days", "children", "winter", "summer", "small flats", "long trips")
WORDS = (
    "light",
    "robust",
    "washable",
    "foldable",
    "quiet",
    "warm",
    "waterproof",
    "soft",
    "bright",
    "compact",
    "simple",
)
SENTENCES = 4


def products(count: int, version: int = 0) -> Iterator[Document]:
    """Yield products with descriptions of a few sentences, other ones in a version."""
    for number in range(count):
        dice = random.Random(f"{number} {version}")
        kind, brand = dice.choice(KINDS), f"Brand{number % 97}"
        title = f"{brand} {dice.choice(WORDS)} {kind} {number}"
        sentences = (
            f"This {dice.choice(WORDS)} {kind} of {dice.choice(MATERIALS)} is made for {dice.choice(USES)}."
            for _ in range(SENTENCES)
        )
        metadata: Metadata = {"price": dice.randint(500, 50_000) / 100, "brand": brand, "stock": dice.randint(0, 90)}
        yield Document(f"sku-{number}", " ".join(sentences), title, metadata)


class Shop:
    """A collection of products, and the generation that a reader has open."""

    def __init__(self, path: Path, encoder: SentenceEncoder) -> None:
        self.path = path
        self.encoder = encoder
        create_collection(path, encoder)
        self.reader: IndexReader = open_index_reader(path)

    def timed(self, name: str, change: CollectionChange) -> float:
        """Apply a change, open its generation, and print the seconds."""
        started = time.perf_counter()
        [report] = apply_changes(self.path, self.encoder, [change])
        self.reader = open_index_reader(self.path, previous=self.reader)
        seconds = time.perf_counter() - started
        assert isinstance(report, ChangeReport), report
        counts = f"{report.added:,} added, {report.updated:,} updated, {report.unchanged:,} unchanged"
        print(f"{name:<58} {seconds:9.2f} s   ({counts})", flush=True)
        return seconds


def run(folder: Path, count: int, changes: int) -> None:
    shop = Shop(folder / "shop", load_encoder(DEFAULT))
    documents = list(products(count))
    shop.timed(f"add {count:,} products", CollectionChange(tuple(documents)))
    prices = tuple(DocumentPatch(each.id, {"price": number + 1}) for number, each in enumerate(documents[:changes]))
    patched = shop.timed(f"patch {changes:,} prices", CollectionChange(patches=prices))
    assert shop.reader.column("price").slice(0, 2).to_pylist() == [1, 2]
    shop.timed("patch 1 price", CollectionChange(patches=(DocumentPatch("sku-7", {"price": 0.5}),)))
    shop.timed("patch 1 text", CollectionChange(patches=(DocumentPatch("sku-7", {"text": "A new description."}),)))
    shop.timed(f"add {changes:,} products again, with their first prices", CollectionChange(tuple(documents[:changes])))
    encoded = shop.timed(f"add {changes:,} products with new texts", CollectionChange(tuple(products(changes, 1))))
    print(f"{'':<58} {patched / encoded:9.1%} of it are {changes:,} new prices")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--changes", type=int, default=5_000)
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="attendex-shop-"))
    try:
        run(folder, given.products, given.changes)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
