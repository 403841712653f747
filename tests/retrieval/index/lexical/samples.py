"""Small lexical indexes for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.inverter import Inverter
from retrieval.index.lexical.postings import NAMES, Postings, file_name
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.writer import LexicalWriter, open_lexical
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import LEXICAL
from retrieval.index.storage.settings import LexicalSettings
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.util.files import Files

PLAIN = LexicalSettings(language="none", k1=1.0, b=0.5, short=0.0)


class UnsyncedFiles(Files):
    """Files that do not wait for the disk: these tests do not simulate power cuts."""

    def sync(self, descriptor: int, path: Path) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


def make_index(
    folder: Path, texts: Sequence[str], how: LexicalSettings = PLAIN, synonyms: Sequence[SynonymRule] = ()
) -> LexicalReader:
    """Index texts without titles; text i has row i."""
    (folder / LEXICAL).mkdir(parents=True)
    keys = np.arange(len(texts), dtype=np.uint64)
    writer = LexicalWriter(folder, how, None, UnsyncedFiles())
    writer.add(keys, [""] * len(texts), texts)
    return open_lexical(folder, writer.commit(keys), how, keys, np.ones(len(texts), np.bool_), synonyms)


def make_segment(folder: Path, *passages: tuple[str, str], title_weight: float = 1.0) -> Postings:
    """Write (title, text) pairs with the keys 10, 20, … as one segment, and open it."""
    inverter = Inverter(Analyzer("none"), title_weight)
    keys = np.arange(10, 10 * len(passages) + 10, 10, dtype=np.uint64)
    inverter.add(keys, [title for title, _ in passages], [text for _, text in passages])
    inverter.write(UnsyncedFiles(), folder, "000001")
    records = [record_file(folder, file_name("000001", name)) for name in NAMES]
    return Postings(folder, "000001", {record.name: record for record in records})
