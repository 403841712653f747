"""The probes of tests/line_coverage.py see the lines that coverage.py sees."""

from __future__ import annotations

import runpy
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import coverage

from tests.line_coverage import ProbingLoader, probes

PROGRAM = '''"""A module."""

from __future__ import annotations

from enum import Enum
from functools import cache


class Colour(Enum):
    """An enumeration."""

    RED = 1
    BLUE = 2

    @property
    def name_twice(self):
        """Return a text."""
        return self.name * 2


@cache
def power(number):
    if number < 0:
        raise ValueError("negative")
    elif number == 0:
        return 1
    else:
        text = (
            "two "
            "lines"
        )
    for _ in range(number):
        while True:
            break
    else:
        text += "!"
    with open(__file__) as file:
        file.read(1)
    return 2 * power(number - 1)


def kind(value):
    match value:
        case int():
            return "int"
        case [first, *_]:
            return first
        case _:
            return None


def careful(number):
    try:
        return power(number)
    except ValueError as error:
        return str(error)
    finally:
        done = True
    return done


async def never():
    async with None:
        pass


careful(3)
careful(-1)
kind([1, 2])
Colour.RED.name_twice
unused = lambda: (
    1
)
'''


def test_the_lines_are_those_of_a_tracer(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    traced = coverage.Coverage(data_file=None, include=[str(path)], config_file=False)
    with traced.collect():
        runpy.run_path(str(path))
    _, statements, _, missing, _ = traced.analysis2(str(path))
    loader = ProbingLoader("program", str(path))
    spec = spec_from_file_location("program", path, loader=loader)
    assert spec is not None
    loader.exec_module(module_from_spec(spec))
    seen = {line for line, ran in enumerate(probes.pop(str(path))) if ran}
    assert seen & set(statements) == set(statements) - set(missing)
    assert len(missing) > 3
