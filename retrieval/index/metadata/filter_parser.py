"""Filter expressions as text: what may be written, and the tree that it becomes.

    expression  = conjunction { OR conjunction }
    conjunction = negation { AND negation }
    negation    = NOT negation | "(" expression ")" | condition
    condition   = field                                         a boolean field that is true
                | field ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | field [ NOT ] IN "[" value { "," value } "]"
                | field [ NOT ] EXISTS
    field       = name | quoted
    value       = quoted | number | date | date and time | TRUE | FALSE | name

Keywords may be in either case.  A name starts with a letter or `_` and goes on with letters, digits, `_`, `.` and `-`;
any other name, and one that is a keyword, is quoted.  Quotes are double or single, with backslash escapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from retrieval.errors import FilterError
from retrieval.index.metadata.schema import is_exact

MAX_LENGTH = 65_536  # characters of an expression
MAX_DEPTH = 64  # nested parentheses and NOTs
MAX_CONDITIONS = 256  # each costs a pass over a column


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, or a whole day (UTC) when written without a time: from `start` up to but without `end`."""

    start: datetime
    end: datetime | None = None  # None for a point


Value: TypeAlias = str | float | bool | Moment


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; `column` is where the field stands, from 1."""

    field: str
    operator: str  # "=", "<", "<=", ">" or ">="; "!=" is the negation of "="
    value: Value
    column: int


@dataclass(frozen=True, slots=True)
class Membership:
    """`field IN [values]`."""

    field: str
    values: tuple[Value, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Existence:
    """`field EXISTS`: the document has a value there."""

    field: str
    column: int


@dataclass(frozen=True, slots=True)
class Negation:
    """Everything that `operand` does not match, documents without the field included."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Conjunction:
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    operands: tuple[Node, ...]


Condition: TypeAlias = Comparison | Membership | Existence
Node: TypeAlias = Condition | Negation | Conjunction | Disjunction

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')
      | (?P<date>\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?(?![\w.-]))
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<name>[^\W\d][\w.-]*)
      | (?P<operator><=|>=|!=|==|=|<|>)
      | (?P<mark>[\[\](),])""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE"})
_COMPARED = "a comparison (=, !=, <, <=, >, >=), IN or EXISTS"
_VALUE = "a value (quoted text, number, date such as 2024-05-01, TRUE or FALSE)"


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


def parse(expression: str) -> Node:
    """The tree of an expression; FilterError names the column and what was expected there."""
    if len(expression) > MAX_LENGTH:
        raise FilterError(f"the filter has {len(expression):,} characters; the most is {MAX_LENGTH:,}")
    if any("\ud800" <= character <= "\udfff" for character in expression):
        raise FilterError("the filter holds half of a surrogate pair, which is no character")
    return _Parser(_tokens(expression)).whole()


def _tokens(expression: str) -> list[_Token]:
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
    return FilterError(f"filter, column {position + 1}: unexpected {character!r}; quote names and values that hold it")


class _Parser:
    """Recursive descent; each method reads one rule of the grammar above and leaves the next token in `here`."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._conditions = 0

    @property
    def here(self) -> _Token:
        return self._tokens[self._next]

    def whole(self) -> Node:
        node = self._expression()
        if self.here.kind != "end":
            raise self._expected("AND, OR or the end of the expression")
        return node

    def _expression(self) -> Node:
        operands = self._separated("OR", self._conjunction)
        return operands[0] if len(operands) == 1 else Disjunction(operands)

    def _conjunction(self) -> Node:
        operands = self._separated("AND", self._negation)
        return operands[0] if len(operands) == 1 else Conjunction(operands)

    def _separated(self, keyword: str, operand: Callable[[], Node]) -> tuple[Node, ...]:
        operands = [operand()]
        while self._accept(keyword):
            operands.append(operand())
        return tuple(operands)

    def _negation(self) -> Node:
        if self.here.text not in ("NOT", "("):
            return self._condition()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"filter, column {self.here.column}: nested more than {MAX_DEPTH} deep")
        if self._accept("NOT"):
            node: Node = Negation(self._negation())
        else:
            self._accept("(")
            node = self._expression()
            self._require(")", "AND, OR or ')'")
        self._depth -= 1
        return node

    def _condition(self) -> Node:
        token = self.here
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise FilterError(
                f"filter, column {token.column}: more than {MAX_CONDITIONS} conditions; use IN [...] for many values"
            )
        if token.kind not in ("name", "quoted"):
            raise self._expected("a field name")
        field = _unquoted(self._take())
        if self.here.kind == "operator":
            operator = self._take().text
            comparison = Comparison(field, "=" if operator in ("==", "!=") else operator, self._value(), token.column)
            return Negation(comparison) if operator == "!=" else comparison
        return self._named_condition(field, token.column)

    def _named_condition(self, field: str, column: int) -> Node:
        """`field` alone, or with IN or EXISTS after it."""
        negated = self._accept("NOT")
        node: Node
        if self._accept("IN"):
            node = Membership(field, self._list(), column)
        elif self._accept("EXISTS"):
            node = Existence(field, column)
        elif negated:
            raise self._expected("IN or EXISTS")
        elif self.here.kind == "end" or self.here.text in ("AND", "OR", ")"):
            return Comparison(field, "=", True, column)
        else:
            raise self._expected(_COMPARED)
        return Negation(node) if negated else node

    def _list(self) -> tuple[Value, ...]:
        self._require("[", "'[' and a list of values")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._require("]", "',' or ']'")
        return tuple(values)

    def _value(self) -> Value:
        token = self.here
        if token.text in ("TRUE", "FALSE") and token.kind == "keyword":
            return self._take().text == "TRUE"
        if token.kind == "number":
            return _number(self._take())
        if token.kind == "date":
            return moment(self._take().text, token.column)
        if token.kind in ("quoted", "name"):
            return _unquoted(self._take())
        raise self._expected(_VALUE)

    def _take(self) -> _Token:
        token = self.here
        self._next += 1
        return token

    def _accept(self, text: str) -> bool:
        accepted = self.here.kind in ("keyword", "mark") and self.here.text == text
        self._next += accepted
        return accepted

    def _require(self, text: str, expected: str) -> None:
        if not self._accept(text):
            raise self._expected(expected)

    def _expected(self, what: str) -> FilterError:
        return FilterError(f"filter, column {self.here.column}: expected {what}, found {self.here.shown}")


def _number(token: _Token) -> float:
    """A number; FilterError for a whole one that no number field holds, which would be taken for its neighbours."""
    if token.text.lstrip("+-").isdigit() and not is_exact(int(token.text)):
        raise FilterError(
            f"filter, column {token.column}: no number field holds {token.text} exactly; "
            f'where the field is text, quote it: "{token.text}"'
        )
    return float(token.text)


def _unquoted(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.kind == "quoted" else token.text


def moment(text: str, column: int) -> Moment:
    """A date or date and time; UTC where no zone is given."""
    try:
        when = datetime.fromisoformat(text.upper())
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        day = min(timedelta(days=1), datetime.max.replace(tzinfo=UTC) - when)  # the last one lacks a microsecond
        return Moment(when, when + day if _is_day(text) else None)
    except (ValueError, OverflowError) as error:
        raise FilterError(f"filter, column {column}: {text!r} is no date ({error}); write 2024-05-01") from None


def _is_day(text: str) -> bool:
    """Whether a date is written without a time."""
    try:
        date.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
