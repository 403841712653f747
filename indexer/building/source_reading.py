"""Read the documents of a build's sources in batches.

Documents that cannot be read are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome, printable
from indexer.readers.opening import FileParser, open_documents
from indexer.sources.folders import find_beir_corpus
from indexer.sources.paths import id_prefixes, is_url
from indexer.writing.segment_writer import count_characters
from retrieval.errors import BadDocument, InputError
from retrieval.types import Document

BATCH_DOCUMENTS = 512
REMOTE_BATCH_DOCUMENTS = 64  # whose vectors a failure of a remote encoder loses
BATCH_CHARACTERS = 1_000_000
LISTED_PROBLEMS = 1_000  # further ones are only counted


@dataclass(slots=True)
class BuildTally:
    """Numbers of documents read, of passages written, and of bad documents."""

    read: int = 0
    passages: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    kept_unseen: bool = False
    rejected: set[str] = field(default_factory=set)  # ids of documents that were read and could not be added
    empty_sources: set[str] = field(default_factory=set)  # names of folders without a document

    def record_bad(self, problem: InputError, *, skip: bool) -> None:
        """Count a bad document; raise `problem` unless bad documents are skipped."""
        if not skip:
            raise problem
        self.bad += 1
        if len(self.problems) < LISTED_PROBLEMS:
            self.problems.append(str(problem))


def is_folder_of_files(source: Path | str) -> bool:
    """Check whether a source is a folder of arbitrary files.

    A bad file there must not stop the others.
    """
    return Path(source).is_dir() and find_beir_corpus(Path(source)) is None


def read_documents(
    sources: Sequence[Path | str],
    options: ReadOptions,
    tally: BuildTally,
    on_file: Callable[[FileOutcome], None],
    *,
    skip_bad: bool,
    parse: FileParser | None = None,
) -> Iterator[Document]:
    """Yield the good documents of all sources, in order; record the others in `tally`."""
    for source, prefix in zip(sources, id_prefixes(sources, options.root), strict=True):
        skip_all = skip_bad or is_folder_of_files(source)
        source_options = replace(options, id_prefix=options.id_prefix + prefix)
        read_before = tally.read
        for item in open_documents(source, source_options, on_file, parse):
            if isinstance(item, BadDocument):
                # One file among several sources, one member of an archive, or one attachment of a mail is skipped.
                is_part = str(item.path) != printable(str(source))
                one_of_many = (len(sources) > 1 or is_part) and item.line is None
                # So is a page of a sitemap, and the news that the sitemap has more pages than are fetched.
                is_page = is_url(source) and (is_part or (tally.read > read_before and item.line is None))
                tally.record_bad(item, skip=skip_all or one_of_many or is_page)
            else:
                tally.read += 1
                yield item
        if tally.read == read_before and is_folder_of_files(source):
            tally.empty_sources.add(source_options.id_prefix.rstrip("/"))


def batch_documents(documents: Iterable[Document], size: int = BATCH_DOCUMENTS) -> Iterator[list[Document]]:
    """Group documents into batches of `size`, bounded in characters too."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += count_characters(document)
        if len(batch) == size or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
