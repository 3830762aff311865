"""CSV text: delimiters, quoted cells, and the apostrophe before formulas."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

from .text_files import TableError

__all__ = ["Record", "guard", "records", "unguard"]

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""Names of the recognised delimiters, in order of preference."""

Record = tuple[int, list[str]]
"""Number of the first line of a record, and its cells."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SEPARATOR_LINE = re.compile(r"sep=([^\w\s\"]|\t)[ \t]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)
"""A first line that declares the delimiter, as in files of Excel."""


def records(
    text: str, file: str, known: Sequence[str], *, blanks: bool = False
) -> Iterator[Record]:
    """Yield the header and each non-blank row of a CSV text, with their line numbers."""
    # Spaces around column names are removed. Spaces around unquoted cells are also removed, unless
    # `blanks` is true. Repeated headers are skipped. The delimiter is the one that splits the
    # header into the most `known` names.
    delimiter, text, skipped = _delimiter(text, known)
    lines = _Lines(text, skipped)
    header: list[str] | None = None
    for line in lines:
        number = lines.number
        if not line.strip():
            continue
        if '"' in line:
            cells = _quoted(line, lines, delimiter, file, blanks)
        else:
            cells = line.rstrip("\r\n").split(delimiter)
            cells = cells if blanks else [cell.strip(" \t") for cell in cells]
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _names(cells)
            yield number, header
        elif _names(cells) == header:
            continue
        elif len(cells) != len(header):
            raise TableError(
                f"{file}, line {number}: {count_of(cells, 'field')}, but the header has "
                f"{count_of(header, 'column')}. Put a field that contains a "
                f"{DELIMITERS.get(delimiter, repr(delimiter))} in double quotes."
            )
        else:
            yield number, cells


def count_of(things: Sequence[str], noun: str) -> str:
    """Return a count with its noun: ``1 field``, ``2 fields``."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


class _Lines:
    r"""Lines that end in "\n", "\r\n" or "\r", and the number of the last line that was read."""

    def __init__(self, text: str, skipped: int) -> None:
        self._lines = io.StringIO(text, newline="")
        self.number = skipped

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line


def _names(cells: Sequence[str]) -> list[str]:
    """Return column names; the header of an appended file may begin with a byte-order mark."""
    return [cell.removeprefix("\ufeff").strip() for cell in cells]


def _delimiter(text: str, known: Sequence[str]) -> tuple[str, str, int]:
    """Return the delimiter, the text after a ``sep=`` line, and the number of such lines."""
    declared = _SEPARATOR_LINE.match(text)
    if declared is not None:
        return declared[1], text[declared.end() :], 1
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip(' \t\r\n,;"')), "")
    best, most = ",", 0
    for delimiter in DELIMITERS:
        names = {cell.strip(" \t\r\n\"'") for cell in first.split(delimiter)}
        found = sum(name in names for name in known)
        if found > most:
            best, most = delimiter, found
    return best, text, 0


def _quoted(line: str, lines: _Lines, delimiter: str, file: str, keep_blanks: bool) -> list[str]:
    """Return the cells of a record with quoted cells, which may continue on the next lines."""
    start = lines.number
    blanks = " " if delimiter == "\t" else " \t"
    cells: list[str] = []
    at = 0
    while True:
        begin = at
        while line[at : at + 1] in blanks and at < len(line):
            at += 1
        if line.startswith('"', at):
            parts: list[str] = []
            at += 1
            while True:
                quote = line.find('"', at)
                if quote < 0:
                    parts.append(line[at:])
                    following = next(lines, None)
                    if following is None:
                        raise TableError(
                            f"{file}, line {start}: an opening quote has no closing quote. Add the "
                            'closing quote, or write a quote that is part of the text as "".'
                        )
                    line, at = following, 0
                elif line.startswith('"', quote + 1):
                    parts.append(line[at : quote + 1])
                    at = quote + 2
                else:
                    parts.append(line[at:quote])
                    at = quote + 1
                    break
            cells.append("".join(parts))
            while line[at : at + 1] in blanks and at < len(line):
                at += 1
            if line[at : at + 1] not in ("", "\r", "\n", delimiter):
                raise TableError(
                    f"{file}, line {lines.number}: text after a closing quote. Put the whole field "
                    'in quotes, and write a quote that is part of the text as "".'
                )
        else:
            end = line.find(delimiter, at)
            end = len(line.rstrip("\r\n")) if end < 0 else end
            cells.append(line[begin:end] if keep_blanks else line[at:end].rstrip(" \t"))
            at = end
        if not line.startswith(delimiter, at):
            return cells
        at += 1


def guard(cell: str) -> str:
    """Return a cell with an apostrophe before it if a spreadsheet would run it as a formula.

    Formulas begin with ``=``, ``+``, ``-``, ``@``, a tab or a line break. A cell that begins
    with apostrophes and then such a character gets one more apostrophe. Negative numbers are not
    changed.

    Examples
    --------
    >>> guard("=1+1"), guard("'=1+1"), guard("-5"), guard("cat")
    ("'=1+1", "''=1+1", '-5', 'cat')
    """
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguard(cell: str) -> str:
    """Return a cell without the apostrophe that `guard` added.

    Examples
    --------
    >>> unguard("'=1+1"), unguard("''=1+1"), unguard("'s-Gravenhage")
    ('=1+1', "'=1+1", "'s-Gravenhage")
    """
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    return cell
