"""Labelling in a terminal: questions, typed answers and inline images."""

from __future__ import annotations

import base64
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
from .class_names import similar_class

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
"""Maximum classes that are listed with every question; the help lists all classes."""

HELP = """\
  a number    the class with this number (or this name, if class names are numbers)
  a name      the class with this name; a new name creates a class
  (nothing)   the suggestion
  =name       the class with this name, even if it is s, 7 or ?
  s  skip     u  undo     q  stop     ?  this help"""

_COMMANDS = {"s": "skip", "u": "undo", "q": "stop", "?": "help"}

HIDDEN = "…"


ImageProtocol = Literal["iterm2", "kitty"]

MAX_SIDE = 480
MIN_SIDE = 192
"""Limits of the longer side of a displayed image in pixels."""

_CHUNK = 4096
"""Maximum characters in one command of kitty's protocol."""


@dataclass(frozen=True)
class Question:
    """A question about the class of one image."""

    round: int
    number: int  # position of the question in the round, from 1
    of: int  # number of questions in the round
    path: str
    shown: str  # the path without class names
    suggestion: str | None  # predicted class; None without a model
    confidence: float | None  # probability of the suggestion
    classes: tuple[str, ...]  # shown with numbers from 1, unless a class name is a number
    image: Callable[[], bytes]  # returns the bytes of the image


class Person(Protocol):
    """An annotator: a person at a terminal, or a program."""

    def ask(self, question: Question) -> str:
        """Return the typed line; raise EOFError if there are no more lines."""

    def tell(self, text: str) -> None:
        """Show a message."""


class Terminal:
    """An annotator at a terminal, which displays images with the protocol of iTerm2 or kitty."""

    def __init__(
        self,
        answers: IO[bytes] | None = None,  # UTF-8 lines; by default standard input
        show: TextIO | None = None,  # for questions; by default standard error
        environment: Mapping[str, str] | None = None,  # variables such as TERM
        copy: Path | None = None,  # path without suffix, for a copy if no image is displayed
    ) -> None:
        self._answers = sys.stdin.buffer if answers is None else answers
        self._show = sys.stderr if show is None else show
        self._protocol = protocol_of(environment or {}) if self._show.isatty() else None
        self._copy = copy
        self._asked: str | None = None

    def tell(self, text: str) -> None:
        """Write a message."""
        print(text, file=self._show, flush=True)

    def ask(self, question: Question) -> str:
        """Show a question and return the typed line."""
        if self._asked != question.path:  # after an invalid answer, the image is still visible
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
            raise LabelError("the answer is not UTF-8. Type it again.") from None

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
            write_atomically(file, content)  # a viewer may read the file at any moment
            self.tell(f"  image: {file}")


@dataclass(frozen=True)
class Answer:
    """A parsed answer."""

    kind: str  # "label" with the class, "skip", "undo", "stop" or "help"
    label: str | None = None


def parse_answer(line: str, classes: Sequence[str], suggestion: str | None) -> Answer:
    """Parse a typed line; an invalid line raises `LabelError` with an instruction."""
    text = line.strip()
    if not text:
        if suggestion is None:
            raise LabelError("there is no suggestion. Type a number or a name, or ? for help.")
        return Answer("label", suggestion)
    if text.startswith("="):
        name = text[1:].strip()
        if not name:
            raise LabelError("the name of a class is missing after =.")
        return Answer("label", name)
    if text.lower() in _COMMANDS:
        return Answer(_COMMANDS[text.lower()])
    if text.isascii() and text.isdecimal() and _have_numbers(classes):
        return Answer("label", _numbered(text, classes))
    if text not in classes:
        _check_typo(text, classes)
    return Answer("label", text)


def _have_numbers(classes: Sequence[str]) -> bool:
    """Return whether classes are listed with numbers: only if no class name is a number."""
    return not any(name.isdecimal() for name in classes)


def listed(classes: Sequence[str]) -> list[str]:
    """Return the class names with their numbers."""
    names = list(map(printable, classes))
    if not _have_numbers(classes):
        return names
    return [f"{number} {name}" for number, name in enumerate(names, start=1)]


def _numbered(text: str, classes: Sequence[str]) -> str:
    number = int(text[:9])
    if not 1 <= number <= len(classes):
        expected = f"expected 1 to {len(classes)}" if classes else "there are no classes yet"
        raise LabelError(
            f"there is no class number {text}; {expected}. Type ={text} if it is a class name."
        )
    return classes[number - 1]


def _check_typo(text: str, classes: Sequence[str]) -> None:
    """Refuse a new name that is very similar to the name of a class."""
    similar = similar_class(text, classes)
    if similar is not None:
        number = f"{classes.index(similar) + 1} " if _have_numbers(classes) else ""
        raise LabelError(
            f"there is no class {text!r}. Did you mean {number}{similar!r}? "
            f"Type ={text} for a new class."
        )


def hide_classes(path: str, names: Sequence[str]) -> str:
    """Return a path without the names of classes, so that it does not reveal the answer.

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
    """Return the image protocol of the terminal, or None."""
    terminal = environment.get("TERM", "")
    # tmux and screen remove image commands.
    if "TMUX" in environment or terminal.startswith(("tmux", "screen")):
        return None
    if terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    program = environment.get("TERM_PROGRAM"), environment.get("LC_TERMINAL")
    if program[0] in ("iTerm.app", "WezTerm") or program[1] == "iTerm2":
        return "iterm2"
    return None


def inline_image(image_bytes: bytes, protocol: ImageProtocol) -> str | None:
    """Return the terminal command that displays an image; None if it cannot be decoded."""
    png = _as_png(image_bytes)
    if png is None:
        return None
    text = base64.b64encode(png).decode()
    if protocol == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\a"
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    # q=2: otherwise the terminal would reply, and the reply would be read as an answer.
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
