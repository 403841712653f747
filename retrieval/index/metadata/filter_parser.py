"""The grammar of filter expressions, and the parser that turns text into a tree.

    expression  = conjunction { OR conjunction }
    conjunction = negation { AND negation }
    negation    = NOT negation | "(" expression ")" | condition
    condition   = field                                         a boolean field with the value true
                | field ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | field [ NOT ] ( STARTS WITH | CONTAINS ) value [ IGNORE CASE ]
                | field [ NOT ] IN "[" value { "," value } "]"
                | field [ NOT ] EXISTS
                | NEAR "(" field "," latitude "," longitude ")" ( "<" | "<=" | ">" | ">=" ) distance
                | BOX "(" field "," south "," west "," north "," east ")"
                | IDS "(" [ value { "," value } ] ")"           the documents with one of these ids
    field       = name | quoted
    value       = quoted | number | date | date and time | relative | TRUE | FALSE | name
    relative    = NOW [ ( "+" | "-" ) digits ( "s" | "m" | "h" | "d" | "w" ) ]
    distance    = number ( "km" | "m" | "mi" )

Keywords may be in upper or lower case.  A name starts with a letter or `_`; letters, digits, `_`, `.` and `-` follow.
Other names, and keywords as names, need quotes; the words NOW, STARTS, WITH, CONTAINS, IGNORE, CASE, NEAR,
BOX and IDS need none.  Quotes are double or single, with backslash escapes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_nodes import (
    CONTAINS,
    STARTS_WITH,
    Conjunction,
    Disjunction,
    DocumentIds,
    FieldComparison,
    FieldExistence,
    FieldMembership,
    FilterNode,
    GeoBox,
    GeoDistance,
    Negation,
    Value,
)
from retrieval.index.metadata.moments import parse_date
from retrieval.index.metadata.schema import is_exact

MAX_LENGTH = 65_536  # characters of an expression
MAX_DEPTH = 64  # nested parentheses and NOTs
MAX_DIGITS = 400  # of a whole number; no double is longer
MAX_CONDITIONS = 256  # each condition reads a whole column

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>"(?:[^"\\]|\\[\s\S])*+"|'(?:[^'\\]|\\[\s\S])*+')
      | (?P<date>\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?(?![\w.-]))
      | (?P<distance>(?:\d+(?:\.\d*)?|\.\d+)\s*(?i:km|mi|m)(?![\w.-]))
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<name>(?i:now)\s*[+-]\s*\d{1,9}[a-zA-Z](?![\w.-])|[^\W\d][\w.-]*)
      | (?P<operator><=|>=|!=|==|=|<|>)
      | (?P<mark>[\[\](),])""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE"})
MAX_LATITUDE, MAX_LONGITUDE = 90, 180
_GEO = {  # greatest degrees of each number after the field
    "NEAR": (MAX_LATITUDE, MAX_LONGITUDE),
    "BOX": (MAX_LATITUDE, MAX_LONGITUDE, MAX_LATITUDE, MAX_LONGITUDE),
}
_IDS = "IDS"
_METRES = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344}
_EXPECTED_CONDITION = "a comparison (=, !=, <, <=, >, >=), IN, EXISTS, STARTS WITH or CONTAINS"
_EXPECTED_VALUE = "a value (quoted text, number, date such as 2024-05-01 or now-7d, TRUE or FALSE)"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # a group of _TOKEN, "keyword" or "end"
    text: str
    column: int

    @property
    def shown(self) -> str:
        if self.kind == "end":
            return "the end of the expression"
        return repr(self.text if len(self.text) <= 40 else self.text[:40] + "…")


def parse_filter(expression: str) -> FilterNode:
    """Return the tree.  Raises FilterError with the column and expected syntax."""
    return _Parser(_tokens(expression)).parse()


def parse_field_values(text: str) -> tuple[str, tuple[Value, ...]]:
    """Return the field and the values of `field [value, value]`.  Raises FilterError."""
    return _Parser(_tokens(text)).parse_field_values()


def _tokens(expression: str) -> list[_Token]:
    if len(expression) > MAX_LENGTH:
        raise FilterError(f"the filter has {len(expression):,} characters; shorten it to {MAX_LENGTH:,}")
    if any("\ud800" <= character <= "\udfff" for character in expression):
        raise FilterError("the filter contains half of a surrogate pair; write the whole character")
    tokens = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _unreadable(expression, position)
        kind, text = match.lastgroup, match.group()
        if kind == "name" and text.upper() in _KEYWORDS:
            kind, text = "keyword", text.upper()
        if kind != "space":
            tokens.append(_Token(kind, text, position + 1))
        position = match.end()
    return [*tokens, _Token("end", "", len(expression) + 1)]


def _unreadable(expression: str, position: int) -> FilterError:
    character = expression[position]
    if character in "\"'":
        return FilterError(f"filter, column {position + 1}: the quote {character} is never closed")
    if character.isdigit():
        word = re.split(r"[\s()\[\],<>=!]", expression[position:], maxsplit=1)[0][:40]
        return FilterError(
            f"filter, column {position + 1}: {word!r} is neither a number nor a date such as 2024-05-01; "
            "quote it if it is text"
        )
    return FilterError(f"filter, column {position + 1}: unexpected {character!r}; quote the name or value with it")


class _Parser:
    """A recursive-descent parser: each method reads one rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._conditions = 0

    @property
    def current(self) -> _Token:
        return self._tokens[self._next]

    def parse(self) -> FilterNode:
        node = self._expression()
        if self.current.kind != "end":
            raise self._expected("AND, OR or the end of the expression")
        return node

    def parse_field_values(self) -> tuple[str, tuple[Value, ...]]:
        field, values = self._field(), self._list()
        if self.current.kind != "end":
            raise self._expected("the end")
        return field, values

    def _expression(self) -> FilterNode:
        operands = self._separated("OR", self._conjunction)
        return operands[0] if len(operands) == 1 else Disjunction(operands)

    def _conjunction(self) -> FilterNode:
        operands = self._separated("AND", self._negation)
        return operands[0] if len(operands) == 1 else Conjunction(operands)

    def _separated(self, keyword: str, operand: Callable[[], FilterNode]) -> tuple[FilterNode, ...]:
        operands = [operand()]
        while self._accept(keyword):
            operands.append(operand())
        return tuple(operands)

    def _negation(self) -> FilterNode:
        if self.current.text not in ("NOT", "("):
            return self._condition()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"filter, column {self.current.column}: nested more than {MAX_DEPTH} deep; simplify it")
        if self._accept("NOT"):
            node: FilterNode = Negation(self._negation())
        else:
            self._accept("(")
            node = self._expression()
            self._require(")", "AND, OR or ')'")
        self._depth -= 1
        return node

    def _condition(self) -> FilterNode:
        token = self.current
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise FilterError(
                f"filter, column {token.column}: more than {MAX_CONDITIONS} conditions; use IN [...] for many values"
            )
        if self._is_call():
            return self._ids() if self.current.text.upper() == _IDS else self._geo_condition()
        field = self._field()
        if self.current.kind == "operator":
            operator = self._take().text
            symbol = "=" if operator in ("==", "!=") else operator
            comparison = FieldComparison(field, symbol, self._value(), token.column)
            return Negation(comparison) if operator == "!=" else comparison
        return self._named_condition(field, token.column)

    def _field(self) -> str:
        if self.current.kind not in ("name", "quoted"):
            raise self._expected("a field name")
        return _unquoted(self._take())

    def _named_condition(self, field: str, column: int) -> FilterNode:
        """`field` alone, or with a word such as IN or EXISTS after it."""
        negated = self._accept("NOT")
        node: FilterNode
        if self._accept("IN"):
            node = FieldMembership(field, self._list(), column)
        elif self._accept("EXISTS"):
            node = FieldExistence(field, column)
        elif self._accept_name("STARTS"):
            if not self._accept_name("WITH"):
                raise self._expected("WITH")
            node = FieldComparison(field, STARTS_WITH, self._value(), column, self._ignores_case())
        elif self._accept_name("CONTAINS"):
            node = FieldComparison(field, CONTAINS, self._value(), column, self._ignores_case())
        elif negated:
            raise self._expected("IN, EXISTS, STARTS WITH or CONTAINS")
        elif self.current.kind == "end" or self.current.text in ("AND", "OR", ")"):
            return FieldComparison(field, "=", True, column)
        else:
            raise self._expected(_EXPECTED_CONDITION)
        return Negation(node) if negated else node

    def _ignores_case(self) -> bool:
        """Accept `IGNORE CASE`."""
        if not self._accept_name("IGNORE"):
            return False
        if not self._accept_name("CASE"):
            raise self._expected("CASE")
        return True

    def _is_call(self) -> bool:
        """Check whether the condition is `near(`, `box(` or `ids(`."""
        following = self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        return self.current.kind == "name" and self.current.text.upper() in (*_GEO, _IDS) and following.text == "("

    def _ids(self) -> FilterNode:
        """`ids("a", "b")`; an id of digits, or one like a date, may go without quotes."""
        self._take()
        self._require("(", "'('")
        ids: list[str] = []
        while not self._accept(")"):
            if ids:
                self._require(",", "',' or ')'")
            if self.current.kind not in ("quoted", "name", "number", "date", "keyword"):
                raise self._expected("an id" if ids else "an id or ')'")
            ids.append(_unquoted(self._take()))
        return DocumentIds(tuple(ids))

    def _geo_condition(self) -> FilterNode:
        """`near(field, latitude, longitude) < distance`, or a box of two corners."""
        name = self._take()
        self._require("(", "'('")
        field = self._field()
        numbers = [self._degrees(limit) for limit in _GEO[name.text.upper()]]
        self._require(")", "')'")
        if len(numbers) == 2:
            latitude, longitude = numbers
            operator = self._take().text if self.current.text in ("<", "<=", ">", ">=") else ""
            if not operator or self.current.kind != "distance":
                raise self._expected("<, <=, > or >= and a distance such as 5km, 300m or 2mi")
            return GeoDistance(field, latitude, longitude, operator, _metres(self._take().text), name.column)
        south, west, north, east = numbers
        if south > north:
            raise FilterError(
                f"filter, column {name.column}: the south of the box, {south:g}, is above its north, {north:g}; "
                "write box(field, south, west, north, east)"
            )
        return GeoBox(field, south, west, north, east, name.column)

    def _degrees(self, limit: int) -> float:
        """Read the next number after a comma: a latitude up to 90, or a longitude."""
        what = "latitude" if limit == MAX_LATITUDE else "longitude"
        self._require(",", f"',' and a {what}")
        token = self.current
        if token.kind != "number":
            raise self._expected(f"a {what} in degrees")
        value = float(self._take().text)
        if not -limit <= value <= limit:
            raise FilterError(f"filter, column {token.column}: the {what} is {value:g}; give -{limit} to {limit}")
        return value

    def _list(self) -> tuple[Value, ...]:
        self._require("[", "'[' and a list of values")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._require("]", "',' or ']'")
        return tuple(values)

    def _value(self) -> Value:
        token = self.current
        if token.text in ("TRUE", "FALSE") and token.kind == "keyword":
            return self._take().text == "TRUE"
        if token.kind == "number":
            return _number(self._take())
        if token.kind == "date":
            return parse_date(self._take().text, f"filter, column {token.column}")
        if token.kind in ("quoted", "name"):
            return _unquoted(self._take())
        raise self._expected(_EXPECTED_VALUE)

    def _take(self) -> _Token:
        token = self.current
        self._next += 1
        return token

    def _accept(self, text: str) -> bool:
        accepted = self.current.kind in ("keyword", "mark") and self.current.text == text
        self._next += accepted
        return accepted

    def _accept_name(self, word: str) -> bool:
        """Accept a word that is a keyword only here."""
        accepted = self.current.kind == "name" and self.current.text.upper() == word
        self._next += accepted
        return accepted

    def _require(self, text: str, expected: str) -> None:
        if not self._accept(text):
            raise self._expected(expected)

    def _expected(self, syntax: str) -> FilterError:
        return FilterError(f"filter, column {self.current.column}: expected {syntax}, found {self.current.shown}")


def _number(token: _Token) -> float:
    """Return a number.  Raises FilterError for an integer that no double represents."""
    digits = token.text.lstrip("+-")
    if digits.isdigit() and (len(digits) > MAX_DIGITS or not is_exact(int(token.text))):
        raise FilterError(
            f"filter, column {token.column}: a number field cannot represent {token.shown[1:-1]} exactly; "
            "if the field is text, quote it"
        )
    return float(token.text)


def _metres(distance: str) -> float:
    number = distance.rstrip(string.ascii_letters)
    return float(number) * _METRES[distance[len(number) :].lower()]


def number_in(text: str) -> float | str:
    """Return the number that a text spells, otherwise the text."""
    token = next(iter(_TOKEN.finditer(text.strip())), None)
    is_number = token is not None and token.lastgroup == "number" and token.group() == text.strip()
    return float(text) if is_number else text


def _unquoted(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.kind == "quoted" else token.text
