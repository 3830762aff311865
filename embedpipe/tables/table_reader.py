"""Reading CSV, JSON Lines and Parquet tables as text, and the labels of their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EmbedpipeError, LabelError
from .csv_text import count_of, records, unguard
from .parquet_columns import can_be_text, is_text, texts
from .text_files import Pairs, TableError, decode, json_objects
from .values import text_of, whole_numbers

__all__ = [
    "STATUSES",
    "SUFFIXES",
    "Table",
    "canonical_status",
    "check_no_predictions",
    "read_table",
    "sure_labels",
    "table_format",
]

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Suffixes of table files, in lower case."""

PATHS = ("path", "file_name")
"""Names of path columns. Their cells must be text, and keep spaces, which may be in file names."""

STATUSES = ("label", "accepted", "skip", "unsure")
"""Values of the column ``status``; a blank cell means ``label``."""


@dataclass(frozen=True)
class Table:
    """The columns of a table file as text."""

    file: str  # path, for messages
    names: tuple[str, ...]  # names of all columns in the file
    columns: Mapping[str, list[str]]  # cells of the columns that were read; "" if missing
    places: Sequence[int]  # line number of each row; in Parquet, the row number from 0
    unit: str  # "line" or "row"
    error: type[EmbedpipeError]  # class of the errors about this table

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int) -> str:
        """Return the file and the place of a row in it, for messages."""
        return f"{self.file}, {self.unit} {self.places[row]}"

    def column(self, name: str) -> list[str]:
        """Return the cells of a column; all are ``""`` if the column was not read."""
        return self.columns[name] if name in self.columns else [""] * len(self)

    def rows(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the place of each row and its cells by column."""
        for row, cells in enumerate(zip(*self.columns.values(), strict=True)):
            yield self.where(row), dict(zip(self.columns, cells, strict=True))

    def fault(self, row: int | None, clause: str) -> EmbedpipeError:
        """Return an error about a row, or about the whole table."""
        return self.error(f"{self.file if row is None else self.where(row)}: {clause}")


def table_format(path: str | os.PathLike[str], error: type[EmbedpipeError] = LabelError) -> str:
    """Return the suffix of a table file in lower case; other suffixes raise `error`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise error(
            f"{_shown(path)} is not a table: its name must end in {', '.join(SUFFIXES[:-1])} or "
            f"{SUFFIXES[-1]}."
        )
    return suffix


def read_table(
    path: str | os.PathLike[str],
    required: Sequence[str],
    optional: Sequence[str] | None = (),
    *,
    error: type[EmbedpipeError] = LabelError,
    what: str = "table",
    suffix: str | None = None,
    synonyms: Mapping[str, str] | None = None,
    guarded: bool = True,
    exact_paths: bool = False,
) -> Table:
    r"""Read columns of a table as text. The three file types give the same text.

    In CSV, the header or a first line ``sep=;`` determines the delimiter. Text is UTF-8, or UTF-16
    or UTF-32 with a byte-order mark. Blank rows, repeated headers, spaces around unquoted cells
    and the apostrophe of `guard` are removed.

    Nulls, NaN numbers and blank cells are missing; the words ``NA``, ``None`` and ``nan`` are text.
    Numbers, booleans, dates and categories become text; lists and objects raise an error. Spaces
    around other cells are removed too, except in paths. `whole_numbers` removes ``.0`` from columns
    of whole numbers.

    Parameters
    ----------
    required
        Names of required columns; in JSON Lines, every object must have them.
    optional
        Names of optional columns; None for all columns that can be text.
    error, what
        Class of the errors, and the noun for the file in the message about a missing file.
    suffix
        One of `SUFFIXES`; by default the suffix of `path`.
    synonyms
        Another name that a column may have in the file, by the name of the column.
    guarded, exact_paths
        Whether apostrophes before formulas are removed, and whether spaces around unquoted paths
        are kept. Both apply only to CSV.

    Examples
    --------
    >>> file = tmp / "labels.csv"
    >>> _ = file.write_text("path; label\n1.jpg; 1.0\n2.jpg;\n;\n")
    >>> read_table(file, ["path", "label"]).columns
    {'path': ['1.jpg', '2.jpg'], 'label': ['1', '']}
    """
    kind = table_format(path, error) if suffix is None else suffix
    file = _shown(path)
    choice = _ColumnChoice(tuple(required), optional, dict(synonyms or {}))
    try:
        data = Path(path).read_bytes()
        if kind == ".parquet":
            names, columns, places = _from_parquet(data, file, choice)
        elif kind == ".csv":
            names, columns, places = _from_csv(
                decode(data, file), file, choice, guarded, exact_paths
            )
        else:
            names, columns, places = _from_json(decode(data, file), file, choice)
    except TableError as fault:
        raise error(str(fault)) from None
    except FileNotFoundError:
        raise error(f"there is no {what} at {file}.") from None
    except OSError as fault:
        raise error(f"{file} cannot be read: {fault.strerror or fault}.") from fault
    for name in columns:
        if name not in PATHS:
            columns[name] = whole_numbers([cell.strip() for cell in columns[name]])
    unit = "row" if kind == ".parquet" else "line"
    table = Table(file, tuple(names), columns, places, unit, error)
    for name, cells in columns.items():
        for row, cell in enumerate(cells):
            if "\0" in cell:
                clause = f"the {name} {cell!r} contains a null character. Remove the character."
                raise table.fault(row, clause)
    return table


def canonical_status(text: str) -> str | None:
    """Return one of `STATUSES` for a cell, ignoring case; None if the status is unknown.

    Examples
    --------
    >>> canonical_status("Unsure"), canonical_status(""), canonical_status("maybe")
    ('unsure', 'label', None)
    """
    status = text.strip().lower() or "label"
    return status if status in STATUSES else None


def check_no_predictions(table: Table) -> None:
    """Raise an error for a table that `predict` wrote: its labels are predictions."""
    if "confidence" in table.names and any(name.startswith("probability_") for name in table.names):
        raise table.fault(
            None,
            "these labels are predictions of `predict`, not labels of a person. To use them as "
            "labels, remove the column 'confidence'.",
        )


def sure_labels(table: Table) -> list[str]:
    """Return the label of each row; ``""`` if it is blank, accepted, skipped or unsure."""
    check_no_predictions(table)
    labels = list(table.column("label"))
    for row, text in enumerate(table.columns.get("status", ())):
        status = canonical_status(text)
        if status is None:
            raise table.fault(
                row,
                f"the status is {text!r}; expected {', '.join(STATUSES)} or blank. If the column "
                "has another purpose, rename it.",
            )
        if status != "label":
            labels[row] = ""
    return labels


def _shown(path: str | os.PathLike[str]) -> str:
    r"""Return a path as printable text: bytes that are not UTF-8 become ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


_Content = tuple[Sequence[str], dict[str, list[str]], Sequence[int]]  # names, columns, places


@dataclass(frozen=True)
class _ColumnChoice:
    """The columns to read."""

    required: tuple[str, ...]
    optional: Sequence[str] | None
    synonyms: Mapping[str, str]

    @property
    def known(self) -> tuple[str, ...]:
        """All names that these columns may have in the file."""
        return (*self.required, *(self.optional or ()), *self.synonyms.values())

    def positions(self, where: str, names: Sequence[str]) -> dict[str, int]:
        """Return the positions of the columns to read, by name."""
        found = dict.fromkeys(self.required) | dict.fromkeys(
            [name for name in names if name] if self.optional is None else self.optional
        )
        places: dict[str, int] = {}
        missing = []
        for name in found:
            name_in_file = name
            if name not in names and self.synonyms.get(name) in names:
                name_in_file = self.synonyms[name]
            if name_in_file in names:
                places[name] = names.index(name_in_file)
            elif name in self.required:
                missing.append(repr(name))
            count = names.count(name_in_file)
            if count > 1:
                raise TableError(
                    f"{where}: {count} columns have the name {name_in_file!r}. Keep one of them."
                )
        if missing:
            listing = ", ".join(map(repr, names))
            others = (
                f"found {count_of(names, 'column')}: {listing}" if names else "found no columns"
            )
            noun = "columns" if len(missing) > 1 else "column"
            raise TableError(f"{where}: no {noun} {' and '.join(missing)}; {others}.")
        return places


def _from_csv(text: str, file: str, choice: _ColumnChoice, guarded: bool, blanks: bool) -> _Content:
    rows = records(text, file, choice.known, blanks=blanks)
    take = unguard if guarded else str
    first, header = next(rows, (1, []))
    names = [take(name) for name in header]
    positions = choice.positions(f"{file}, line {first}", names)
    columns: dict[str, list[str]] = {name: [] for name in positions}
    places: list[int] = []
    for number, cells in rows:
        places.append(number)
        for name, at in positions.items():
            columns[name].append(take(cells[at]))
    return names, columns, places


def _from_json(text: str, file: str, choice: _ColumnChoice) -> _Content:
    names: dict[str, None] = {}
    columns: dict[str, list[str]] = {}
    places: list[int] = []
    before: list[str] | None = None
    positions: dict[str, int] = {}
    for number, pairs in json_objects(text, file):
        where = f"{file}, line {number}"
        keys = [key.strip() for key, _ in pairs]
        if keys != before:  # most files have the same keys in each line
            positions, before = choice.positions(where, keys), keys
            names |= dict.fromkeys(keys)
        cells = {}
        for name, at in positions.items():
            try:
                cells[name] = _json_text(name, pairs[at][1])
            except ValueError as error:
                if name in choice.required or choice.optional is not None:
                    raise TableError(f"{where}: {error}.") from None
        for name in cells:
            if name not in columns:
                columns[name] = [""] * len(places)
        places.append(number)
        for name, column in columns.items():
            column.append(cells.get(name, ""))
    if not places:
        for name in choice.required:
            columns.setdefault(name, [])
    return list(names), columns, places


def _json_text(name: str, value: Any) -> str:
    if name in PATHS and not isinstance(value, str | None):
        raise ValueError(f"the {name} is {value!r}; expected text")
    try:
        text = text_of(value)
    except TypeError:
        shown = dict(value) if isinstance(value, Pairs) else value
        raise ValueError(f"the {name} is {shown!r}; expected text or a number") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the {name} {text!r} contains invalid Unicode") from None
    return text


def _from_parquet(data: bytes, file: str, choice: _ColumnChoice) -> _Content:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            schema = parquet.schema_arrow
            names = [name.strip() for name in schema.names]
            positions = choice.positions(file, names)
            if choice.optional is None:  # all columns that can be text
                positions = {
                    name: at
                    for name, at in positions.items()
                    if name in choice.required or can_be_text(schema.field(at).type)
                }
            for name, at in positions.items():
                _check_type(file, name, schema.field(at).type)
            table = parquet.read(columns=[schema.names[at] for at in positions.values()])
            columns = {}
            for name, at in positions.items():
                columns[name] = _texts(file, name, table.column(schema.names[at]))
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise TableError(f"{file} is not a valid Parquet file: {reason}.") from None
    return names, columns, range(table.num_rows)


def _texts(file: str, name: str, column: Any) -> list[str]:
    try:
        return texts(column)
    except UnicodeDecodeError:
        raise TableError(
            f"{file}: the column {name!r} contains text that is not UTF-8. Write it as UTF-8."
        ) from None


def _check_type(file: str, name: str, kind: Any) -> None:
    if name in PATHS and not is_text(kind):
        raise TableError(f"{file}: the column {name!r} has the type {kind}; expected text.")
    if not can_be_text(kind):
        raise TableError(
            f"{file}: the column {name!r} has the type {kind}; expected text or numbers."
        )
