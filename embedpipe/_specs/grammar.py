"""The grammar of spec strings.

One grammar for strategies, heads, policies and objectives::

    spec        name | name(argument, ..., option=value, ...) | spec^number
    name        margin | t-shirt | package.module:Class
    argument    spec | value | spec >= number          (also <=, > and <)
    value       number | word | quoted text | [value, ...] | (value, ...) | {value: value, ...}

Numbers and quoted text follow Python. The words ``true``, ``false``, ``none`` and ``inf``, in
any case, are constants; other words are text: ``weights=distance`` equals
``weights='distance'``. The text "none" needs quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..errors import UsageError

__all__ = ["OPERATORS", "Comparison", "Term", "format_term", "parse_spec", "split_specs"]

OPERATORS = (">=", "<=", ">", "<")
"""Comparison operators."""

WORD = r"[^\W\d][\w.\-]*"
DIGITS = r"\d+(?:_\d+)*"
NUMBER = rf"""[+-]?(?:0[xX](?:_?[\da-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+
    |(?:{DIGITS}\.?(?:{DIGITS})?|\.{DIGITS})(?:[eE][+-]?{DIGITS})?)|[+-]inf\b"""
TOKENS = re.compile(
    rf"""\s*(?:(?P<number>{NUMBER})
    |(?P<word>{WORD})
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<sign>>=|<=|[()\[\]{{}}=,:^<>])
    |(?P<wrong>\S))""",
    re.VERBOSE | re.DOTALL,
)
CONSTANTS: dict[str, bool | float | None] = {
    "true": True,
    "false": False,
    "none": None,
    "inf": float("inf"),
}
"""Unquoted words that are constants as option values, not text."""

ESCAPES = re.compile(
    r"\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U00(?:0[\da-fA-F]|10)[\da-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL
)
PLAIN_ESCAPES = {
    **{"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"},
    **{"\\": "\\", "'": "'", '"': '"', "\n": ""},
}
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Term:
    """A name with its arguments, options and strength: ``name(argument, option=value)^2``."""

    name: str
    arguments: tuple[Any, ...] = ()  # terms, comparisons and values, in order
    options: tuple[tuple[str, Any], ...] = ()
    strength: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A term compared with a number: ``margin >= 0.2``."""

    left: Term
    operator: str
    right: float


def parse_spec(text: str, kind: str = "strategy", names: Container[str] = ()) -> Term:
    """Parse a spec string; `kind` is for messages, and names in `names` may have any character."""
    reader = _Reader(text, kind)
    name = text.partition("(")[0].rstrip()
    return reader.whole(name if name in names else "")


def format_term(term: Term, *, python: bool = False) -> str:
    """Return the spec string of a term; with `python`, values are Python literals."""
    write = _python_value if python else _plain_value
    inside = [_format_argument(each, write) for each in term.arguments]
    inside += [f"{_format_key(key)}={write(value)}" for key, value in term.options]
    brackets = f"({', '.join(inside)})" if inside else ""
    power = "" if term.strength is None else f"^{_format_number(term.strength)}"
    return f"{term.name}{brackets}{power}"


def split_specs(text: str) -> list[str]:
    """Split a list of spec strings at commas outside brackets and quotes."""
    commas, depth = [], 0
    for token in _tokens(text):
        if token.kind == "sign":
            depth = max(0, depth + (token.text in CLOSING) - (token.text in CLOSING.values()))
            if token.text == "," and not depth:
                commas.append(token.place - 1)
    edges = [-1, *commas, len(text)]
    parts = [text[before + 1 : at].strip() for before, at in pairwise(edges)]
    return [part for part in parts if part]


def _format_argument(argument: Any, write: Callable[[Any], str]) -> str:
    if isinstance(argument, Term):
        return format_term(argument)
    if isinstance(argument, Comparison):
        number = _format_number(argument.right)
        return f"{format_term(argument.left)} {argument.operator} {number}"
    return write(argument)


def _format_key(key: str) -> str:
    return key if re.fullmatch(WORD, key) else _quoted(key)


def _plain_value(value: Any) -> str:
    """Format a value without quotes if possible: ``none``, ``entropy``, ``"2d"``."""
    value = _native(value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        bare = re.fullmatch(WORD, value) and value.lower() not in CONSTANTS
        return value if bare else _quoted(value)
    return _format_other(value, _plain_value)


def _python_value(value: Any) -> str:
    """Format a value as Python: ``None``, ``'entropy'``."""
    value = _native(value)
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    if value == float("inf"):
        return "1e999"
    return _format_other(value, _python_value)


def _format_other(value: Any, write: Callable[[Any], str]) -> str:
    if isinstance(value, (int, float)) and not math.isnan(value):  # NaN has no spec string
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(write, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(write, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{write(key)}: {write(each)}' for key, each in value.items())}}}"
    raise TypeError(f"a {type(value).__name__} has no spec string")


def _native(value: Any) -> Any:
    """Return a NumPy scalar as a Python scalar, and any other value unchanged."""
    scalar = type(value).__module__ == "numpy" and not getattr(value, "shape", (1,))
    return value.item() if scalar else value


def _format_number(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(number)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class _Token:
    kind: str  # number, word, string, sign, wrong, end
    text: str
    place: int  # of the first character, counted from 1


def _tokens(text: str, start: int = 0) -> Iterator[_Token]:
    for found in TOKENS.finditer(text, start):
        kind = found.lastgroup
        if kind is not None:
            yield _Token(kind, found.group(kind), found.start(kind) + 1)
    yield _Token("end", "", len(text) + 1)


class _Reader:
    """Parses one term from left to right with one token of lookahead."""

    def __init__(self, text: str, kind: str) -> None:
        self._text, self._kind = text, kind
        self._tokens: list[_Token] = []
        self._at = 0

    def whole(self, name: str) -> Term:
        """Parse the whole text, which starts with the known `name` unless the name is empty."""
        self._tokens = list(_tokens(self._text, len(name)))
        term = self._term(name or None)
        if self._next.kind != "end":
            self._fail("the end")
        return term

    def _term(self, name: str | None = None) -> Term:
        if name is None:
            name = self._take("word", "a name").text
            if self._skip(":"):
                name = f"{name}:{self._take('word', 'the name of a class').text}"
        arguments: list[Any] = []
        options: dict[str, Any] = {}
        if self._skip("("):
            self._until(")", lambda: self._argument(arguments, options))
        strength = None
        if self._skip("^"):
            strength = float(self._take("number", "a number").text)
        return Term(name, tuple(arguments), tuple(options.items()), strength)

    def _argument(self, arguments: list[Any], options: dict[str, Any]) -> None:
        if self._tokens[self._at + 1 : self._at + 2] and self._tokens[self._at + 1].text == "=":
            if self._next.kind not in ("word", "number", "string"):
                self._fail("an option")
            token = self._advance()
            key = _unquoted(token)
            if key in options:
                raise UsageError(f"{self._kind} {self._text!r} has {key!r} twice: give it once.")
            self._advance()
            options[key] = self._value()
            return
        if options:
            self._fail("'option=value'")
        if self._next.kind != "word":
            arguments.append(self._value())
            return
        left = self._term()
        if self._next.text in OPERATORS:
            operator = self._advance().text
            number = float(self._take("number", "a number").text)
            arguments.append(Comparison(left, operator, number))
            return
        arguments.append(left)

    def _value(self) -> Any:
        token = self._next
        if token.kind == "sign" and token.text in CLOSING:
            return self._collection(self._advance().text)
        if token.kind not in ("number", "word", "string"):
            self._fail("a value")
        self._advance()
        if token.kind == "word" and self._next.text == "(":
            raise UsageError(
                f"{self._kind} {self._text!r} cannot be read: {token.text}(...) at character "
                f"{token.place} is not a plain value. Give a number, text, true, false, none, or "
                "a list or dict of these."
            )
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "word" and token.text.lower() in CONSTANTS:
            return CONSTANTS[token.text.lower()]
        return _unquoted(token)

    def _collection(self, opening: str) -> Any:
        """Parse a list, tuple, dict or value in brackets, after the opening bracket."""
        if opening == "{":
            keyed: dict[Any, Any] = {}
            self._until("}", lambda: self._entry(keyed))
            return keyed
        values: list[Any] = []
        commas = self._until(CLOSING[opening], lambda: values.append(self._value()))
        if opening == "[":
            return values
        return values[0] if len(values) == 1 and not commas else tuple(values)

    def _entry(self, keyed: dict[Any, Any]) -> None:
        if self._next.kind == "sign":
            self._fail("a number or text")
        key = self._value()
        self._expect(":", "':'")
        keyed[key] = self._value()

    def _until(self, closing: str, read: Callable[[], None]) -> int:
        """Parse comma-separated parts up to a closing bracket; return the number of commas."""
        commas = 0
        while not self._skip(closing):
            read()
            if self._next.text != closing or self._next.kind != "sign":
                self._expect(",", f"',' or {closing!r}")
                commas += 1
        return commas

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _advance(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, sign: str) -> bool:
        found = self._next.kind == "sign" and self._next.text == sign
        self._at += found
        return found

    def _take(self, kind: str, wanted: str) -> _Token:
        if self._next.kind != kind:
            self._fail(wanted)
        return self._advance()

    def _expect(self, sign: str, wanted: str) -> None:
        if not self._skip(sign):
            self._fail(wanted)

    def _fail(self, wanted: str) -> None:
        token = self._next
        place = f"at character {token.place}, found {token.text!r}"
        if token.kind == "end":
            place = "at the end"
        raise UsageError(f"{self._kind} {self._text!r} cannot be read: expected {wanted} {place}.")


def _number(text: str) -> int | float:
    if re.match(r"[+-]?0[xXoObB]", text):
        return int(text, 0)
    return int(text) if re.fullmatch(rf"[+-]?{DIGITS}", text) else float(text)


def _unquoted(token: _Token) -> str:
    return ESCAPES.sub(_unescaped, token.text[1:-1]) if token.kind == "string" else token.text


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1 and code[0] in "xuU":
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0] in "01234567" else PLAIN_ESCAPES.get(code, found[0])
