"""Regular expressions match a text without memory for each step.

A repeat without a bound that can step back keeps memory for each of its steps if it repeats more than one character, as
in `(?:[^<]|<(?!a))*`. Its time then grows faster than the text. A possessive repeat (`*+`, `++`) keeps none.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import re._constants as sre  # type: ignore[import-untyped]
import re._parser as sre_parser  # type: ignore[import-untyped]
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGES, ROOT

LIBRARIES = ("re", "regex")
FUNCTIONS = frozenset("compile match fullmatch search sub subn split findall finditer".split())  # noqa: SIM905
ONE_CHARACTER = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.CATEGORY)
PROPERTY = re.compile(r"\\p\{[^}]*\}|\\X")  # of the library regex: one character, or one with its marks


def pattern_sources() -> Iterator[tuple[Path, ast.Call]]:
    """Yield each call of the packages that takes a regular expression."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and _takes_pattern(node.func):
                    yield path.relative_to(ROOT), node


def _takes_pattern(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id in LIBRARIES
        and called.attr in FUNCTIONS
    )


class Names(dict[str, object]):
    """The names of a module; a local name of a function stands for a word."""

    def __missing__(self, name: str) -> object:
        return getattr(builtins, name, "word")


def pattern_of(path: Path, call: ast.Call) -> str:
    """Return the pattern of a call, as the names of its module make it."""
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    pattern = eval(ast.unparse(call.args[0]), {}, Names(vars(module)))
    return pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern


def stepping_repeats(pattern: str) -> int:
    """Count the repeats of a pattern that keep memory for each step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # for the sets of the library regex
        return _count(sre_parser.parse(PROPERTY.sub("w", pattern), re.VERBOSE if "\n" in pattern else 0))


def _count(node: object) -> int:
    """Count such repeats in a node of the parser: a pattern, a tuple, or a leaf."""
    if isinstance(node, sre_parser.SubPattern):
        return sum(map(_count, node))
    if not isinstance(node, tuple | list):
        return 0
    found = sum(map(_count, node))
    if len(node) == 2 and node[0] in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        _, most, repeated = node[1]
        is_single = len(repeated) == 1 and repeated[0][0] in ONE_CHARACTER
        found += most == sre.MAXREPEAT and not is_single
    return found


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("(?:ab)*", 1),
        ("(?:ab)+?c", 1),
        ("((?:[^<]|<(?![A-Za-z/]))*)", 1),
        ("(?:a(?:bc)*)*+", 1),
        ("(?=(?:ab)*)", 1),
        ("(?>(?:ab)*)", 1),
        (r"(.)\1*", 1),
        ("(?:ab)*+", 0),
        ("(?:ab){2,9}", 0),
        (r"[^<]*\w+?.*", 0),
        (r"\p{L}+[[\w\p{M}]--[\p{Han}]]+", 0),
    ],
)
def test_repeats_are_found(pattern: str, count: int) -> None:
    assert stepping_repeats(pattern) == count


def test_no_pattern_keeps_memory_for_each_step() -> None:
    checked, wrong = 0, []
    for path, call in pattern_sources():
        pattern, checked = pattern_of(path, call), checked + 1
        if stepping_repeats(pattern):
            wrong.append(f"{path}:{call.lineno}: {pattern}")
    assert checked > 200
    assert wrong == [], "make the repeat possessive (`*+`), or repeat one character class"
