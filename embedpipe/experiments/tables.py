"""Tables of statistics as text, LaTeX, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .._files import write_atomically
from .._html import result_html
from ..errors import UsageError
from .formatting import LEFT_OUT

__all__ = ["Table", "Tabular", "check_table"]

SUFFIXES = (".tex", ".md", ".csv")


@dataclass(frozen=True)
class Table:
    """A table of text: the lines above it, the headings, the rows, and the lines below it.

    The first column has names. Columns without any value are left out of LaTeX and Markdown.
    """

    above: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([*self.above, *_aligned([self.headings, *self.rows]), *self.below])

    def filled(self) -> list[list[str]]:
        """Return the headings and the rows without empty columns."""
        kept = [
            at
            for at in range(len(self.headings))
            if at == 0 or any(row[at] not in ("", LEFT_OUT) for row in self.rows)
        ]
        return [[row[at] for at in kept] for row in (self.headings, *self.rows)]


class Tabular(ABC):
    """Statistics that can be written as tables."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the tables of all groups."""

    @abstractmethod
    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary of JSON types for each row."""

    def _repr_html_(self) -> str:
        found = []
        for table in self.tables():
            headings, *rows = table.filled()
            below = "".join(f"<div>{escape(line)}</div>" for line in table.below)
            found.append(
                result_html(
                    " · ".join(table.above), (), headings, rows, n_rows=len(rows), more=below
                )
            )
        return "".join(found)

    def to_latex(self) -> str:
        """Return the tables as LaTeX for the package booktabs.

        Each table is a ``tabular``; the lines above it are comments.
        """
        return "\n".join(map(_latex, self.tables()))

    def to_markdown(self) -> str:
        """Return the tables as Markdown, in the syntax of GitHub."""
        return "\n".join(map(_markdown, self.tables()))

    def to_csv(self) -> str:
        """Return one line for each setting, with the columns of ``--json``.

        Names of nested columns are joined: ``aubc_ci`` is ``aubc_ci_low`` and ``aubc_ci_high``.
        Missing numbers are empty.
        """
        rows = [dict(_flat("", row)) for row in self.to_json()]
        names = dict.fromkeys(name for row in rows for name in row)
        sink = io.StringIO()
        writer = csv.DictWriter(sink, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return sink.getvalue()

    def write_table(self, path: str | Path) -> Path:
        """Write the tables, whole or not at all, to a ``.tex``, ``.md`` or ``.csv`` file."""
        path = check_table(path)
        made = {".tex": self.to_latex, ".md": self.to_markdown, ".csv": self.to_csv}
        text = made[path.suffix.lower()]()
        try:
            write_atomically(path, text.encode())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
        return path


def check_table(path: str | Path) -> Path:
    """Check the suffix of a table, and return its path."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        suffixes = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(f"cannot write {path}: its name must end in {suffixes}.")
    return path


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column to the left, the other columns to the right."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Return the columns of a value of JSON."""
    joined = f"{name}_" if name else ""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(joined + str(key), each)
    elif isinstance(value, list) or (value is None and "ci" in name.split("_")):
        low, high = value or (None, None)
        yield joined + "low", low
        yield joined + "high", high
    else:
        yield name, value


_IN_LATEX = {letter: f"\\{letter}" for letter in "{}$&#_%"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "–": r"\textendash{}",
    "·": r"\textperiodcentered{}",
}


def _latex(table: Table) -> str:
    headings, *rows = table.filled()
    return "\n".join(
        [
            *_comments(table.above),
            rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            r"\toprule",
            _latex_row(headings),
            r"\midrule",
            *map(_latex_row, rows),
            r"\bottomrule",
            r"\end{tabular}",
            *_comments(table.below),
            "",
        ]
    )


def _comments(lines: Sequence[str]) -> list[str]:
    return [f"% {line}" for text in lines for line in text.splitlines()]


def _latex_row(row: Sequence[str]) -> str:
    name, *numbers = (_latex_text(cell) for cell in row)
    if name[:1] in ("[", "*"):
        name = f"{{}}{name}"  # the end of a row and \midrule read these as options
    minus = (re.sub(r"(?<![\w.-])-(?=\d)", "$-$", number) for number in numbers)
    return " & ".join([name, *minus]) + r" \\"


def _latex_text(text: str) -> str:
    escaped = "".join(_IN_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return escaped.replace("--", "-{}-")  # no dash


def _markdown(table: Table) -> str:
    headings, *rows = ([_markdown_text(cell) for cell in row] for row in table.filled())
    marks = [":--", *["--:"] * (len(headings) - 1)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in (headings, marks, *rows))
    parts = [*map(_markdown_text, table.above), lines, *map(_markdown_text, table.below)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_text(text: str) -> str:
    """Escape all letters with a meaning, in a cell and at the start of a line."""
    escaped = re.sub(r"([\\`*_{}<>\[\]#|~$&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d+)([.)])(?= )|^([-+=])(?= |$)", _at_start, escaped)


def _at_start(found: re.Match[str]) -> str:
    """Escape the mark of a list or a heading."""
    return f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}"
