"""Modules and names of the programs in the folder of attacks, which were written for an earlier layout."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = {
    "indexer.archive": "indexer.maintenance.backup",
    "indexer.changes": "indexer.building.collection_lifecycle",
    "indexer.deletion": "indexer.building.document_changes",
    "indexer.readers.jsonl": "indexer.readers.formats.json_records",
    "indexer.readers.options": "indexer.readers.base.options",
    "indexer.readers.web": "indexer.sources.web",
    "indexer.verify": "indexer.maintenance.verify",
    "retrieval.index.directory": "retrieval.util.files",
    "retrieval.index.judgments": "retrieval.index.collection.judgments",
    "retrieval.index.manifest": "retrieval.index.storage.manifest",
    "retrieval.index.snapshot": "retrieval.index.collection.index_reader",
    "service.collections": "service.runtime.open_collections",
}
# Names that changed, each with its module.
NAMES = {
    "Collections": ("service.runtime.open_collections", "OpenCollections"),
    "Web": ("indexer.sources.website", "WebSource"),
    "open_snapshot": ("retrieval.index.collection.index_reader", "open_index_reader"),
    "public_address": ("indexer.sources.public_network", "public_address"),
    "remove_dropped": ("indexer.building.collection_lifecycle", "remove_leftovers"),
    "restore_archive": ("indexer.maintenance.backup", "restore_backup"),
    "save_archive": ("indexer.maintenance.backup", "save_backup"),
}


class EarlierModule(ModuleType):
    """Gives the objects of the module that has the earlier module's content now."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module, current = NAMES.get(name, (MODULES[self.__name__], name))
        return getattr(importlib.import_module(module), current)


class EarlierModules(MetaPathFinder, Loader):
    """Finds the modules of MODULES by their earlier names."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        return ModuleSpec(name, self) if name in MODULES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return EarlierModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has no code of its own."""


def install() -> None:
    """Let this process import modules by their earlier names."""
    sys.meta_path.insert(0, EarlierModules())
