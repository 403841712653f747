"""The demo collection: docstrings of the interpreter's standard library.

The script imports every public module.  Each public function, class, method and property gives one document:

    id        the name in the manual: `str.rstrip`, `os.path.join`, `asyncio.sleep`
    title     the id with its signature, if the interpreter knows it
    text      the documentation string
    metadata  `module` and `kind`

An object with several names counts once, under the shortest one (`asyncio.sleep`, not `asyncio.tasks.sleep`).  These
modules are left out: those that fail to import, act on import, belong to one platform, or repeat other modules.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The import opens a window or a browser, prints, patches, or needs a platform, or the content repeats a module.
# fmt: off
EXCLUDED_MODULES = frozenset((
    "antigravity", "this", "idlelib", "test", "turtledemo", "lib2to3", "distutils", "ensurepip", "pydoc_data",
    "msilib", "msvcrt", "winreg", "winsound", "nt", "ntpath", "nturl2path", "posix", "posixpath", "genericpath",
    "encodings", "sre_compile", "sre_constants", "sre_parse", "imp",
))
# fmt: on
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
NAMEDTUPLE_DOCSTRING = re.compile(r"Alias for field number \d+")


@dataclass(frozen=True, slots=True)
class DocumentedName:
    """A public name with a docstring."""

    id: str
    title: str
    text: str
    module: str
    kind: str

    def as_json(self) -> str:
        """Return the line of the JSONL file that `attendex index` reads."""
        metadata = {"module": self.module, "kind": self.kind}
        return json.dumps({"id": self.id, "title": self.title, "text": self.text, "metadata": metadata})


@dataclass(frozen=True, slots=True)
class PublicName:
    """A public name and its object."""

    id: str
    module: str
    value: Any


def write_documents(path: Path) -> int:
    """Write the collection as JSONL, sorted by id, and return the number of documents."""
    entries = standard_library()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(entry.as_json() + "\n" for entry in entries), encoding="utf-8")
    return len(entries)


def standard_library() -> list[DocumentedName]:
    """Return all documented public names of the standard library, by id."""
    shortest: dict[object, PublicName] = {}
    for found in _public_names():
        key = _identity(found.value)
        if key not in shortest or _preference(found) < _preference(shortest[key]):
            shortest[key] = found
    entries = [entry for found in sorted(shortest.values(), key=_preference) if (entry := _entry(found))]
    named = {entry.id: entry for entry in reversed(list(_without_repeats(entries)))}  # unittest.main is two things
    return [named[each] for each in sorted(named)]


def _without_repeats(entries: list[DocumentedName]) -> Iterator[DocumentedName]:
    """Keep one of the special methods with equal docstrings (`Return repr(self).`)."""
    said: set[str] = set()
    for entry in entries:
        if not entry.id.endswith("__"):
            yield entry
        elif entry.text not in said:
            said.add(entry.text)
            yield entry


def _preference(found: PublicName) -> tuple[int, str]:
    """Return the sort key of the names of an object: fewest dots, then the alphabet."""
    return found.id.count("."), found.id


def _public_names() -> Iterator[PublicName]:
    for module in _modules():
        yield PublicName(module.__name__, module.__name__, module)
        for name, value in _members(module):
            path = name if module.__name__ == "builtins" else f"{module.__name__}.{name}"
            yield PublicName(path, module.__name__, value)
            if inspect.isclass(value):
                yield from _class_members(path, module.__name__, value)


def _modules() -> Iterator[types.ModuleType]:
    """Yield the public modules that import here; packages come before their modules."""
    for name in sorted(sys.stdlib_module_names - EXCLUDED_MODULES):
        if name.startswith("_") or (module := _imported(name)) is None:
            continue
        yield module
        if name == "os":
            yield _as_os_path(module.path)
        for inner in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}.", onerror=lambda _: None):
            parts = inner.name.split(".")
            hidden = any(part.startswith("_") or part in {"test", "tests"} for part in parts)
            if not hidden and (module := _imported(inner.name)):
                yield module


def _as_os_path(module: types.ModuleType) -> types.ModuleType:
    """Return posixpath or ntpath under the manual's name, `os.path`."""
    alias = types.ModuleType("os.path", module.__doc__)
    alias.__dict__.update({name: value for name, value in vars(module).items() if not name.startswith("__")})
    alias.__dict__["__all__"] = module.__all__
    return alias


def _imported(name: str) -> types.ModuleType | None:
    """Import a module without output; return None if the import fails in any way."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit):
            return None


def _members(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes that `module` itself has."""
    listed = getattr(module, "__all__", None)
    for name in sorted(listed if listed is not None else vars(module)):
        value = getattr(module, name, None)  # not vars: some packages load their members on access
        if name.startswith("_") or not (inspect.isroutine(value) or inspect.isclass(value)):
            continue
        if listed is not None or _home(value, module) == module.__name__.partition(".")[0]:
            yield name, value


def _home(value: Any, module: types.ModuleType) -> str:
    """Return the top-level module that defines `value`.

    For a private built-in module it is `module`.
    """
    home = getattr(value, "__module__", None) or module.__name__
    return module.__name__.partition(".")[0] if home.startswith("_") else str(home).partition(".")[0]


def _class_members(path: str, module: str, owner: type) -> Iterator[PublicName]:
    """Yield the members that the class itself defines, without the inherited ones."""
    for name, value in sorted(vars(owner).items()):
        private = name.startswith("_") and not (name.startswith("__") and name.endswith("__"))
        if private or name == "__class__" or inspect.isclass(value):
            continue
        plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if inspect.isroutine(plain) or isinstance(plain, property) or inspect.isdatadescriptor(plain):
            yield PublicName(f"{path}.{name}", module, plain)


def _identity(value: Any) -> object:
    """Return a key that is equal for two names of one object.

    A bound method has the key of its function.
    """
    plain = getattr(value, "__func__", value)
    owner = getattr(plain, "__self__", None)
    if isinstance(plain, types.BuiltinMethodType) and owner is not None and not inspect.ismodule(owner):
        unbound = getattr(type(owner), plain.__name__, plain)  # random.random is Random().random
        return id(unbound)
    return id(plain)


def _entry(found: PublicName) -> DocumentedName | None:
    """Return the document of a name; None if it has no docstring of its own."""
    text = getattr(found.value, "__doc__", None)
    if not isinstance(text, str) or not text.strip() or NAMEDTUPLE_DOCSTRING.match(text):
        return None
    text = ADDRESS.sub("", inspect.cleandoc(text))
    return DocumentedName(found.id, found.id + _signature(found.value), text, found.module, _kind(found))


def _signature(value: Any) -> str:
    if inspect.ismodule(value) or not callable(value):
        return ""
    try:
        return ADDRESS.sub("", str(inspect.signature(value)))
    except Exception:  # inspect evaluates default values, and some of them do not exist yet
        return ""


def _kind(found: PublicName) -> str:
    value = found.value
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    if not inspect.isroutine(value):
        return "property"
    inside = found.id if found.module == "builtins" else found.id.removeprefix(found.module + ".")
    return "method" if "." in inside else "function"
