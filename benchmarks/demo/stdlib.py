"""The demo collection: documentation strings of the standard library, read from the interpreter that runs this.

Every public module is imported, and its public functions, classes, methods and properties give one document each:

    id        where a reader of the manual would look it up: `str.rstrip`, `os.path.join`, `asyncio.sleep`
    title     the id with its signature, where the interpreter knows it
    text      the documentation string
    metadata  `module` and `kind`

An object that is reachable under several names counts once, under the shortest (`asyncio.sleep`, not
`asyncio.tasks.sleep`).  Modules that cannot be imported here are left out, and so are those that do something on
import, belong to one platform, or repeat others.
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

# Import opens a window or a browser, prints, patches, or needs a platform; or the content repeats another module.
# fmt: off
LEFT_OUT = frozenset((
    "antigravity", "this", "idlelib", "test", "turtledemo", "lib2to3", "distutils", "ensurepip", "pydoc_data",
    "msilib", "msvcrt", "winreg", "winsound", "nt", "ntpath", "nturl2path", "posix", "posixpath", "genericpath",
    "encodings", "sre_compile", "sre_constants", "sre_parse", "imp",
))
# fmt: on
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
MADE_BY_NAMEDTUPLE = re.compile(r"Alias for field number \d+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented name."""

    id: str
    title: str
    text: str
    module: str
    kind: str

    def as_json(self) -> str:
        """One line of the JSONL file that `attendex index` reads."""
        metadata = {"module": self.module, "kind": self.kind}
        return json.dumps({"id": self.id, "title": self.title, "text": self.text, "metadata": metadata})


@dataclass(frozen=True, slots=True)
class Found:
    """A public name and what it stands for."""

    id: str
    module: str
    value: Any


def write_documents(path: Path) -> int:
    """Write the collection as JSONL, sorted by id; returns the number of documents."""
    entries = standard_library()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(entry.as_json() + "\n" for entry in entries), encoding="utf-8")
    return len(entries)


def standard_library() -> list[Entry]:
    """All documented public names of the standard library, by id."""
    shortest: dict[object, Found] = {}
    for found in _public_names():
        key = _identity(found.value)
        if key not in shortest or _preference(found) < _preference(shortest[key]):
            shortest[key] = found
    entries = [entry for found in sorted(shortest.values(), key=_preference) if (entry := _entry(found))]
    named = {entry.id: entry for entry in reversed(list(_without_repeats(entries)))}  # unittest.main is two things
    return [named[each] for each in sorted(named)]


def _without_repeats(entries: list[Entry]) -> Iterator[Entry]:
    """Special methods that say the same on every class (`Return repr(self).`) are kept once."""
    said: set[str] = set()
    for entry in entries:
        if not entry.id.endswith("__"):
            yield entry
        elif entry.text not in said:
            said.add(entry.text)
            yield entry


def _preference(found: Found) -> tuple[int, str]:
    """Which of several names of one object is its id: the one with the fewest dots, then the first by alphabet."""
    return found.id.count("."), found.id


def _public_names() -> Iterator[Found]:
    for module in _modules():
        yield Found(module.__name__, module.__name__, module)
        for name, value in _members(module):
            path = name if module.__name__ == "builtins" else f"{module.__name__}.{name}"
            yield Found(path, module.__name__, value)
            if inspect.isclass(value):
                yield from _class_members(path, module.__name__, value)


def _modules() -> Iterator[types.ModuleType]:
    """Public modules that can be imported here, packages before what is in them."""
    for name in sorted(sys.stdlib_module_names - LEFT_OUT):
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
    """posixpath or ntpath under the name that the manual uses."""
    alias = types.ModuleType("os.path", module.__doc__)
    alias.__dict__.update({name: value for name, value in vars(module).items() if not name.startswith("__")})
    alias.__dict__["__all__"] = module.__all__
    return alias


def _imported(name: str) -> types.ModuleType | None:
    """The module, or None where it fails to import, whatever the reason; what it prints is swallowed."""
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
    """Public functions and classes of `module` that belong to the standard library, without other people's modules."""
    listed = getattr(module, "__all__", None)
    for name in sorted(listed if listed is not None else vars(module)):
        value = getattr(module, name, None)  # not vars: some packages load their members when asked
        if name.startswith("_") or not (inspect.isroutine(value) or inspect.isclass(value)):
            continue
        if listed is not None or _home(value, module) == module.__name__.partition(".")[0]:
            yield name, value


def _home(value: Any, module: types.ModuleType) -> str:
    """Top-level module that defines `value`; built-in ones without a name of their own count as the asking module's."""
    home = getattr(value, "__module__", None) or module.__name__
    return module.__name__.partition(".")[0] if home.startswith("_") else str(home).partition(".")[0]


def _class_members(path: str, module: str, owner: type) -> Iterator[Found]:
    """What the class itself defines, not what it inherits."""
    for name, value in sorted(vars(owner).items()):
        private = name.startswith("_") and not (name.startswith("__") and name.endswith("__"))
        if private or name == "__class__" or inspect.isclass(value):
            continue
        plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if inspect.isroutine(plain) or isinstance(plain, property) or inspect.isdatadescriptor(plain):
            yield Found(f"{path}.{name}", module, plain)


def _identity(value: Any) -> object:
    """Equal for two names of the same thing; a bound method counts as its function."""
    plain = getattr(value, "__func__", value)
    owner = getattr(plain, "__self__", None)
    if isinstance(plain, types.BuiltinMethodType) and owner is not None and not inspect.ismodule(owner):
        unbound = getattr(type(owner), plain.__name__, plain)  # random.random is Random().random
        return id(unbound)
    return id(plain)


def _entry(found: Found) -> Entry | None:
    """The document of a name, None where it has no documentation string of its own."""
    text = getattr(found.value, "__doc__", None)
    if not isinstance(text, str) or not text.strip() or MADE_BY_NAMEDTUPLE.match(text):
        return None
    text = ADDRESS.sub("", inspect.cleandoc(text))
    return Entry(found.id, found.id + _signature(found.value), text, found.module, _kind(found))


def _signature(value: Any) -> str:
    if inspect.ismodule(value) or not callable(value):
        return ""
    try:
        return ADDRESS.sub("", str(inspect.signature(value)))
    except Exception:  # inspect evaluates default values, and some name things that exist only later
        return ""


def _kind(found: Found) -> str:
    value = found.value
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    if not inspect.isroutine(value):
        return "property"
    inside = found.id if found.module == "builtins" else found.id.removeprefix(found.module + ".")
    return "method" if "." in inside else "function"
