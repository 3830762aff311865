"""Labelling in a terminal: questions, the answers that a person types, and images."""

from __future__ import annotations

import base64
import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Literal, Protocol, TextIO

from .._files import write_atomically
from .._pixels import DecodeError, Picture, decoded
from .._text import printable
from ..errors import LabelError

__all__ = [
    "HELP",
    "Answer",
    "Person",
    "Question",
    "Terminal",
    "hide_classes",
    "inline_image",
    "listed",
    "parse_answer",
    "protocol_of",
]

LISTED = 20
"""Maximum classes that are listed with every question; of more, the list comes with the help."""

HELP = """\
  a number    the class of this number, or of this name where classes are called by numbers
  a name      the class of this name; a new name makes a class
  (nothing)   what is suggested
  =name       the class of this name, whatever it is: =s, =7, =?
  s  skip     u  undo     q  stop     ?  this help"""

_COMMANDS = {"s": "skip", "u": "undo", "q": "stop", "?": "help"}

TYPO_SIMILARITY = 0.8
"""Similarity (`difflib`) to a class from which a new name is taken for a typing error."""

HIDDEN = "…"


ImageProtocol = Literal["iterm2", "kitty"]

MAX_SIDE = 480
MIN_SIDE = 192
"""Sides in pixels: larger images are reduced, smaller ones enlarged, so that they can be seen."""

_CHUNK = 4096
"""Maximum characters in one command to kitty."""


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Attributes
    ----------
    round, number, of
        The round, the place of the question in it, and how many there are.
    path
        The item.
    shown
        The item's path as it may be shown: without names of classes that tell the answer.
    suggestion, confidence
        What the head says and with what probability; None before there is a head.
    classes
        Their names; the first has the number 1, unless a class is called by a number.
    image
        Gives the bytes of the image.
    """

    round: int
    number: int
    of: int
    path: str
    shown: str
    suggestion: str | None
    confidence: float | None
    classes: tuple[str, ...]
    image: Callable[[], bytes]


class Person(Protocol):
    """Who answers: somebody at a terminal, or a program that stands in for them."""

    def ask(self, question: Question) -> str:
        """Return the line that was typed; raise EOFError if there will be no more."""

    def tell(self, text: str) -> None:
        """Say something."""


class Terminal:
    """Somebody at a terminal: questions go to one stream, answers come from another.

    The image is shown if the environment says that the terminal can (iTerm2, kitty and what speaks
    their protocols), and `show` is one.

    Parameters
    ----------
    answers
        Binary, a line an answer, in UTF-8.
    show
        Where questions are written.
    environment
        Variables of the environment, such as ``TERM``.
    copy
        A file without suffix that holds the image that is asked for, where the terminal cannot
        show it; None for no such file.
    """

    def __init__(
        self,
        answers: IO[bytes] | None = None,
        show: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
        copy: Path | None = None,
    ) -> None:
        self._answers = sys.stdin.buffer if answers is None else answers
        self._show = sys.stderr if show is None else show
        self._protocol = protocol_of(environment or {}) if self._show.isatty() else None
        self._copy = copy
        self._asked: str | None = None

    def tell(self, text: str) -> None:
        """Write a text."""
        print(text, file=self._show, flush=True)

    def ask(self, question: Question) -> str:
        """Show a question and return the line that is typed."""
        if self._asked != question.path:  # an answer that was not understood shows nothing again
            self._present(question)
            self._asked = question.path
        suggested = ""
        if question.suggestion is not None:
            suggested = f" [{printable(question.suggestion)}, {question.confidence or 0.0:.2f}]"
        self._show.write(f"label{suggested}: ")
        self._show.flush()
        line = self._answers.readline()
        if not line:
            self.tell("")
            raise EOFError
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise LabelError("that is not UTF-8: type it again.") from None

    def _present(self, question: Question) -> None:
        place = f"round {question.round}, {question.number} of {question.of}"
        self.tell(f"\n{place}: {printable(question.shown)}")
        self._show_image(question)
        if 0 < len(question.classes) <= LISTED:
            self.tell("  ".join(["", *listed(question.classes)]))

    def _show_image(self, question: Question) -> None:
        if self._protocol is None and self._copy is None:
            return
        try:
            content = question.image()
        except OSError as error:
            self.tell(f"  the image cannot be read: {error.strerror or error}")
            return
        if self._protocol is not None:
            self.tell(inline_image(content, self._protocol) or "  the image cannot be decoded")
        elif self._copy is not None:
            suffix = question.path.rpartition(".")[2]
            file = self._copy.with_name(f"{self._copy.name}.{suffix}")
            write_atomically(file, content)  # a viewer may look at any moment
            self.tell(f"  the image is in {file}")


@dataclass(frozen=True)
class Answer:
    """The meaning of a typed line."""

    kind: str  # "label" with the class, "skip", "undo", "stop" or "help"
    label: str | None = None


def parse_answer(line: str, classes: Sequence[str], suggestion: str | None) -> Answer:
    """Return the meaning of a typed line; a `LabelError` says what to type instead."""
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
        _check_typo(text, classes)
    return Answer("label", text)


def _have_numbers(classes: Sequence[str]) -> bool:
    """Return whether a number means a place in the list: none of the classes is called by one."""
    return not any(name.isdecimal() for name in classes)


def listed(classes: Sequence[str]) -> list[str]:
    """Return what to type for each class, and its name."""
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


def _check_typo(text: str, classes: Sequence[str]) -> None:
    """Refuse a new name that is nearly that of a class."""
    folded = {name.casefold(): name for name in classes}
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=TYPO_SIMILARITY)
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


def protocol_of(environment: Mapping[str, str]) -> ImageProtocol | None:
    """Return the image protocol that the environment announces, or None."""
    terminal = environment.get("TERM", "")
    # tmux and screen swallow such commands.
    if "TMUX" in environment or terminal.startswith(("tmux", "screen")):
        return None
    if terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    program = environment.get("TERM_PROGRAM"), environment.get("LC_TERMINAL")
    if program[0] in ("iTerm.app", "WezTerm") or program[1] == "iTerm2":
        return "iterm2"
    return None


def inline_image(image_bytes: bytes, protocol: ImageProtocol) -> str | None:
    r"""Return what makes a terminal show an image; None if it cannot be decoded."""
    png = _as_png(image_bytes)
    if png is None:
        return None
    text = base64.b64encode(png).decode()
    if protocol == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\a"
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    # q=2: an answer of the terminal would be read as one of the person.
    starts = ["a=T,f=100,q=2,", *[""] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"\x1b_G{start}m={m};{chunk}\x1b\\"
        for start, m, chunk in zip(starts, more, chunks, strict=True)
    )


def _as_png(image_bytes: bytes) -> bytes | None:
    from PIL import Image

    def encoded(picture: Picture) -> bytes:
        image = picture.rgb
        side = max(image.size)
        wanted = min(max(side, MIN_SIDE), MAX_SIDE)
        if wanted != side:
            width, height = (max(1, round(length * wanted / side)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        file = BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    try:
        return decoded(image_bytes, encoded)
    except DecodeError:
        return None
