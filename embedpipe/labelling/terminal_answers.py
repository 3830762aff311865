"""What a person types: a class, or what to do instead of naming one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .._text import printable
from ..errors import LabelError

__all__ = ["HELP", "Answer", "hide_classes", "listed", "parse_answer", "printable"]

HELP = """\
  a number    the class of this number, or of this name where classes are called by numbers
  a name      the class of this name; a new name makes a class
  (nothing)   what is suggested
  =name       the class of this name, whatever it is: =s, =7, =?
  s  skip     u  undo     q  stop     ?  this help"""

_COMMANDS = {"s": "skip", "u": "undo", "q": "stop", "?": "help"}

ALIKE = 0.8
"""A new name that is so like that of a class (`difflib`) is taken for a slip of the fingers."""

HIDDEN = "…"


@dataclass(frozen=True)
class Answer:
    """What was meant: ``"label"`` with the class, ``"skip"``, ``"undo"``, ``"stop"``, ``"help"``.

    Parameters
    ----------
    kind
        One of these.
    label
        The name of the class.
    """

    kind: str
    label: str | None = None


def parse_answer(line: str, classes: Sequence[str], suggestion: str | None) -> Answer:
    """Return what a line means.

    Parameters
    ----------
    line
        As typed.
    classes
        Their names; the first has the number 1, unless a class is called by a number.
    suggestion
        What an empty line means, if anything.

    Raises
    ------
    LabelError
        If it means nothing, or may be a slip; the message says what to type.

    Examples
    --------
    >>> parse_answer("2", ["hat", "shoe"], None)
    Answer(kind='label', label='shoe')
    >>> parse_answer("s", ["hat"], None), parse_answer("=s", ["hat"], None).label
    (Answer(kind='skip', label=None), 's')
    >>> parse_answer("1", ["0", "1", "2"], None).label
    '1'
    """
    text = line.strip()
    if not text:
        if suggestion is None:
            raise LabelError("nothing is suggested: type a number or a name, or ? for help.")
        return Answer("label", suggestion)
    if text.startswith("="):
        name = text[1:].strip()
        if not name:
            raise LabelError("= needs the name of a class behind it.")
        return Answer("label", name)
    if text.lower() in _COMMANDS:
        return Answer(_COMMANDS[text.lower()])
    if text.isascii() and text.isdecimal() and _have_numbers(classes):
        return Answer("label", _numbered(text, classes))
    if text not in classes:
        _check_slip(text, classes)
    return Answer("label", text)


def _have_numbers(classes: Sequence[str]) -> bool:
    """Return whether a number means a place in the list: none of the classes is called by one."""
    return not any(name.isdecimal() for name in classes)


def listed(classes: Sequence[str]) -> list[str]:
    """Return what to type for each class, and its name.

    Examples
    --------
    >>> listed(["hat", "shoe"]), listed(["0", "1"])
    (['1 hat', '2 shoe'], ['0', '1'])
    """
    names = list(map(printable, classes))
    if not _have_numbers(classes):
        return names
    return [f"{number} {name}" for number, name in enumerate(names, start=1)]


def _numbered(text: str, classes: Sequence[str]) -> str:
    number = int(text[:9])
    if not 1 <= number <= len(classes):
        there = f"there are {len(classes)}" if classes else "there is none yet"
        raise LabelError(f"no class has the number {text}: {there}. Type ={text} if it is a name.")
    return classes[number - 1]


def _check_slip(text: str, classes: Sequence[str]) -> None:
    """Refuse a new name that is nearly that of a class."""
    folded = {name.casefold(): name for name in classes}
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=ALIKE)
    if near:
        meant = folded[near[0]]
        number = f"{classes.index(meant) + 1} " if _have_numbers(classes) else ""
        raise LabelError(
            f"there is no class {text!r}. Did you mean {number}{meant!r}? "
            f"Type ={text} for a new class."
        )


def hide_classes(path: str, names: Sequence[str]) -> str:
    """Return a path without the classes that the dataset itself knows: it must not tell the answer.

    Examples
    --------
    >>> hide_classes("train/T_Shirt/0001.jpg", ["hat", "t-shirt"])
    'train/…/0001.jpg'
    >>> hide_classes("that/0001.jpg", ["hat"])
    'that/0001.jpg'
    """
    words = [re.findall(r"[^\W_]+", name) for name in sorted(names, key=len, reverse=True)]
    patterns = [r"[\W_]*".join(map(re.escape, each)) for each in words if each]
    if not patterns:
        return path
    whole = rf"(?<![^\W_])(?:{'|'.join(patterns)})(?![^\W_])"
    return re.sub(whole, HIDDEN, path, flags=re.IGNORECASE)
