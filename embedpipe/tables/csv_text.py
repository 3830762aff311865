"""CSV: cells between commas, semicolons or tabs, and the apostrophe before formulas."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

from .text_files import TableError

__all__ = ["Record", "guard", "records", "unguard"]

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""Name of each delimiter that is recognised, the most usual first."""

Record = tuple[int, list[str]]
"""The line in which a record begins, and its cells."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SEPARATOR_LINE = re.compile(r"sep=([^\w\s\"]|\t)[ \t]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)
"""First line that Excel writes and reads to name the delimiter."""


def records(
    text: str, file: str, known: Sequence[str], *, blanks: bool = False
) -> Iterator[Record]:
    """Yield the header of a CSV text, then each row that is not blank, with their lines."""
    # Blanks around a cell are dropped unless it is quoted or `blanks` are kept; those around a name
    # in the header always. A repeated header, as in concatenated files, is left out. The delimiter
    # is the one that finds most of the `known` names in the header.
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
                f"{file}, line {number}: {len(cells)} fields under a header of {len(header)}. "
                f"Quote a field that holds a {DELIMITERS.get(delimiter, repr(delimiter))}."
            )
        else:
            yield number, cells


class _Lines:
    """Lines with their ends, which are those of any system, and the number of the last one."""

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
    """Return the names of a header; a file that was appended may bring its byte-order mark."""
    return [cell.removeprefix("\ufeff").strip() for cell in cells]


def _delimiter(text: str, known: Sequence[str]) -> tuple[str, str, int]:
    """Return the delimiter, the text behind a line that names it, and the number of such lines."""
    named = _SEPARATOR_LINE.match(text)
    if named is not None:
        return named[1], text[named.end() :], 1
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip(' \t\r\n,;"')), "")
    best, most = ",", 0
    for delimiter in DELIMITERS:
        names = {cell.strip(" \t\r\n\"'") for cell in first.split(delimiter)}
        found = sum(name in names for name in known)
        if found > most:
            best, most = delimiter, found
    return best, text, 0


def _quoted(line: str, lines: _Lines, delimiter: str, file: str, keep: bool) -> list[str]:
    """Return the cells of a record, of which some are in quotes; read on where one goes on."""
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
                            f"{file}, line {start}: a quote is opened and not closed. Close it, or "
                            "double a quote that is part of the text."
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
                    f"{file}, line {lines.number}: text follows a closed quote. Put the whole "
                    "field in quotes, and double a quote that is part of the text."
                )
        else:
            end = line.find(delimiter, at)
            end = len(line.rstrip("\r\n")) if end < 0 else end
            cells.append(line[begin:end] if keep else line[at:end].rstrip(" \t"))
            at = end
        if not line.startswith(delimiter, at):
            return cells
        at += 1


def guard(cell: str) -> str:
    """Return the text that stands for `cell` in a CSV file that a spreadsheet may open.

    A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break
    for a formula, and a formula in a file name or a class name can start a program. Such a text
    gets one apostrophe before it, and so does a text that begins with apostrophes and then one of
    these characters. A plain negative number is no formula.

    Examples
    --------
    >>> guard("=1+1"), guard("'=1+1"), guard("-5"), guard("cat")
    ("'=1+1", "''=1+1", '-5', 'cat')
    """
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguard(cell: str) -> str:
    """Return the text that a cell of a CSV file stands for: the inverse of `guard`.

    Examples
    --------
    >>> unguard("'=1+1"), unguard("''=1+1"), unguard("'s-Gravenhage")
    ('=1+1', "'=1+1", "'s-Gravenhage")
    """
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    return cell
