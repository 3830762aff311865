"""How strategies and objectives are written in one line: text to terms and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ...errors import UsageError

__all__ = ["OPERATORS", "Comparison", "Plain", "Term", "parse", "written"]

Plain: TypeAlias = "int | float | bool | str | None"

OPERATORS = (">=", "<=", ">", "<")
"""What may stand in a comparison."""

WORD = r"[^\W\d][\w.\-]*"
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]inf\b"
TOKENS = re.compile(
    rf"""\s*(?:(?P<number>{NUMBER})
    |(?P<word>{WORD})
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<sign>>=|<=|[()=,^<>])
    |(?P<wrong>\S))""",
    re.VERBOSE | re.DOTALL,
)
MEANINGS: dict[str, bool | float | None] = {
    "true": True,
    "false": False,
    "none": None,
    "inf": float("inf"),
}
"""Words that stand for something else than themselves as the value of an option."""


@dataclass(frozen=True)
class Term:
    """Something that is named, with what is in its brackets: ``name(argument, option=value)^2``.

    Attributes
    ----------
    name
        What stands before the bracket.
    arguments
        What stands in the brackets without ``=``, in order.
    options
        What stands there with it, in order.
    strength
        The number after ``^``, or None.
    """

    name: str
    arguments: tuple[Term | Comparison | Plain, ...] = ()
    options: tuple[tuple[str, Plain], ...] = ()
    strength: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What is compared with a number: ``margin >= 0.2``."""

    left: Term
    operator: str
    right: float


def parse(text: str, kind: str = "strategy") -> Term:
    """Read a term.

    Parameters
    ----------
    text
        ``name``, ``name(...)`` or ``name(...)^number``; in the brackets, separated by commas,
        ``option=value``, terms, or comparisons such as ``margin >= 0.2``. A value is a number,
        ``true``, ``false``, ``none``, a word, or text in quotes.
    kind
        What it names, for messages.

    Raises
    ------
    UsageError
        If it cannot be read, with the place named.

    Examples
    --------
    >>> parse("coral(uncertainty=entropy)")
    Term(name='coral', arguments=(), options=(('uncertainty', 'entropy'),), strength=None)
    >>> parse("diversity^2").strength
    2.0
    >>> parse("coral(uncertainty=")
    Traceback (most recent call last):
    embedpipe.errors.UsageError: strategy 'coral(uncertainty=' cannot be read: it ends where a value should follow.
    """  # noqa: E501
    reader = _Reader(text, kind)
    term = reader.term()
    reader.end()
    return term


def written(term: Term) -> str:
    """Return the text that `parse` reads as `term`.

    Examples
    --------
    >>> written(Term("combine", (Term("margin"), Term("diversity", strength=2.0))))
    'combine(margin, diversity^2)'
    """
    inside = [_written_argument(each) for each in term.arguments]
    inside += [f"{_written_key(key)}={_written_value(value)}" for key, value in term.options]
    brackets = f"({', '.join(inside)})" if inside else ""
    power = "" if term.strength is None else f"^{_written_number(term.strength)}"
    return f"{term.name}{brackets}{power}"


def _written_argument(argument: Term | Comparison | Plain) -> str:
    if isinstance(argument, Term):
        return written(argument)
    if isinstance(argument, Comparison):
        number = _written_number(argument.right)
        return f"{written(argument.left)} {argument.operator} {number}"
    return _written_value(argument)


def _written_key(key: str) -> str:
    return key if re.fullmatch(WORD, key) else _quoted(key)


def _written_value(value: Plain) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    bare = re.fullmatch(WORD, value) and value.lower() not in MEANINGS
    return value if bare else _quoted(value)


def _written_number(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(number)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class _Token:
    kind: str  # number, word, string, sign, wrong, end
    text: str
    place: int  # counted from 1


def _tokens(text: str) -> Iterator[_Token]:
    for found in TOKENS.finditer(text):
        kind = found.lastgroup
        if kind is not None:
            yield _Token(kind, found.group(kind), found.start(kind) + 1)
    yield _Token("end", "", len(text) + 1)


class _Reader:
    """Reads one term from left to right, one token ahead."""

    def __init__(self, text: str, kind: str) -> None:
        self._text, self._kind = text, kind
        self._tokens = list(_tokens(text))
        self._at = 0

    def term(self) -> Term:
        name = self._take("word", "a name").text
        arguments: list[Term | Comparison | Plain] = []
        options: dict[str, Plain] = {}
        if self._skip("("):
            while not self._skip(")"):
                self._argument(arguments, options)
                if self._next.text != ")":
                    self._expect(",", "',' or ')'")
        strength = None
        if self._skip("^"):
            strength = float(self._take("number", "a number").text)
        return Term(name, tuple(arguments), tuple(options.items()), strength)

    def end(self) -> None:
        if self._next.kind != "end":
            self._fail("the end")

    def _argument(
        self, arguments: list[Term | Comparison | Plain], options: dict[str, Plain]
    ) -> None:
        if self._tokens[self._at + 1 : self._at + 2] and self._tokens[self._at + 1].text == "=":
            token = self._advance()
            if token.kind not in ("word", "number", "string"):
                self._at -= 1
                self._fail("an option")
            key = _unquoted(token)
            if key in options:
                raise UsageError(f"{self._kind} {self._text!r} gives {key!r} twice: give it once.")
            self._expect("=", "'='")
            options[key] = self._value()
            return
        if options:
            self._fail("'option=value'")
        if self._next.kind != "word":
            arguments.append(self._value())
            return
        left = self.term()
        if self._next.text in OPERATORS:
            operator = self._advance().text
            number = float(self._take("number", "a number").text)
            arguments.append(Comparison(left, operator, number))
            return
        arguments.append(left)

    def _value(self) -> Plain:
        token = self._next
        if token.kind not in ("number", "word", "string"):
            self._fail("a value")
        self._advance()
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[+-]?\d+", token.text) else float(token.text)
        if token.kind == "word" and token.text.lower() in MEANINGS:
            return MEANINGS[token.text.lower()]
        return _unquoted(token)

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
        if token.kind == "end":
            told = f"it ends where {wanted} should follow"
        else:
            told = f"{token.text!r} at character {token.place} stands where {wanted} should"
        raise UsageError(f"{self._kind} {self._text!r} cannot be read: {told}.")


def _unquoted(token: _Token) -> str:
    if token.kind != "string":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
