"""Reading a table from a CSV, JSON Lines or Parquet file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EmbedpipeError, LabelError
from .csv_text import records, unguard
from .parquet_columns import can_be_text, is_text, texts
from .text_files import Pairs, TableError, decode, json_objects
from .values import text_of, whole_numbers

__all__ = ["SUFFIXES", "Table", "read_table", "table_format"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Suffixes of the files that hold tables, in lower case."""

PATHS = ("path", "file_name")
"""Columns of paths: their cells must be texts, and keep the blanks that are part of a name."""


@dataclass(frozen=True)
class Table:
    """Rows of text, and where each of them stands.

    Attributes
    ----------
    file
        The path of the file, as messages show it.
    names
        The names of all columns of the file.
    columns
        The cells of the columns that were asked for and are there, by name; ``""`` is a missing
        value.
    places
        The number of each row's line; in Parquet the number of the row, from 0.
    unit
        ``"line"`` or ``"row"``.
    error
        The error that the faults of this table raise.
    """

    file: str
    names: tuple[str, ...]
    columns: Mapping[str, list[str]]
    places: Sequence[int]
    unit: str
    error: type[EmbedpipeError]

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int) -> str:
        """Return the file and the line of a row, for messages."""
        return f"{self.file}, {self.unit} {self.places[row]}"

    def column(self, name: str) -> list[str]:
        """Return the cells of a column; all are missing if the file does not have it."""
        return self.columns[name] if name in self.columns else [""] * len(self)

    def rows(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the place of each row, and its cells by column."""
        for row, cells in enumerate(zip(*self.columns.values(), strict=True)):
            yield self.where(row), dict(zip(self.columns, cells, strict=True))

    def fault(self, row: int | None, clause: str) -> EmbedpipeError:
        """Return the error that says what is wrong with a row, or with the table."""
        return self.error(f"{self.file if row is None else self.where(row)}: {clause}")


def table_format(path: str | os.PathLike[str], error: type[EmbedpipeError] = LabelError) -> str:
    """Return the suffix of a table's file, in lower case.

    Raises
    ------
    LabelError
        If it is not ``.csv``, ``.jsonl`` or ``.parquet``.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise error(
            f"{_shown(path)} is not a table by its suffix: use {', '.join(SUFFIXES[:-1])} or "
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
    r"""Read columns of a table as text, the same text from each of the three file types.

    *CSV.* The delimiter is a comma, a semicolon or a tab, by the header. Text is UTF-8, or UTF-16
    or UTF-32 with a byte-order mark; lines end as on any system. A first line ``sep=;`` names the
    delimiter. Quoted cells may hold line breaks. Rows without content and repeated headers are
    left out. Each row has as many cells as the header. Blanks around a cell are dropped unless it
    is quoted. An apostrophe before ``=``, ``+``, ``-``, ``@``, a tab or a line break is taken off:
    see `guard`.

    *Values.* None, null, NaN and blank are missing; the words ``NA``, ``None`` and ``nan`` are
    text. Numbers, truth values (``True``, ``False``), decimals, dates and categories become text.
    Lists, objects and other types are refused.

    *Columns.* Blanks around a name of a column are dropped. A cell of any column but ``path``
    and ``file_name`` is text without blanks around it. A column whose values are all whole numbers
    has none with ``.0``: ``1.0`` is ``1``; with one other value, such as ``1.10``, it stays as it
    is.

    Parameters
    ----------
    path
        The file.
    required
        Names of columns that must be there; in JSON Lines, in each object.
    optional
        Names of columns that are read if they are there; None for all that can be text.
    error
        What is raised.
    what
        What the file is called if it is missing.
    suffix
        Which of `SUFFIXES` the file is; by default that of its name.
    synonyms
        Another name of a column, used if the column is not there.
    guarded
        Whether apostrophes before formulas are taken off in CSV.
    exact_paths
        Whether paths in CSV keep the blanks around them, also where they are not quoted.

    Examples
    --------
    >>> file = tmp / "labels.csv"
    >>> _ = file.write_text("path; label\n1.jpg; 1.0\n2.jpg;\n;\n")
    >>> read_table(file, ["path", "label"]).columns
    {'path': ['1.jpg', '2.jpg'], 'label': ['1', '']}
    """
    kind = table_format(path, error) if suffix is None else suffix
    file = _shown(path)
    choice = _Choice(tuple(required), optional, dict(synonyms or {}))
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
                raise table.fault(row, f"the {name} {cell!r} holds a null character.")
    return table


def _shown(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text that can be printed: bytes that are no UTF-8 as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


_Read = tuple[Sequence[str], dict[str, list[str]], Sequence[int]]


@dataclass(frozen=True)
class _Choice:
    """Which columns are read."""

    required: tuple[str, ...]
    optional: Sequence[str] | None
    synonyms: Mapping[str, str]

    @property
    def known(self) -> tuple[str, ...]:
        """All names that are looked for."""
        return (*self.required, *(self.optional or ()), *self.synonyms.values())

    def positions(self, where: str, names: Sequence[str]) -> dict[str, int]:
        """Return the position of each column that is read, by its name."""
        found = dict.fromkeys(self.required) | dict.fromkeys(
            [name for name in names if name] if self.optional is None else self.optional
        )
        places: dict[str, int] = {}
        missing = []
        for name in found:
            given = name
            if name not in names and self.synonyms.get(name) in names:
                given = self.synonyms[name]
            if given in names:
                places[name] = names.index(given)
            elif name in self.required:
                missing.append(repr(name))
            if names.count(given) > 1:
                raise TableError(
                    f"{where}: the column {given!r} is there {names.count(given)} times."
                )
        if missing:
            listing = ", ".join(map(repr, names)) or "none"
            verb = "s {} are" if len(missing) > 1 else " {} is"
            subject = verb.format(" and ".join(missing))
            raise TableError(f"{where}: the column{subject} missing; its columns: {listing}.")
        return places


def _from_csv(text: str, file: str, choice: _Choice, guarded: bool, blanks: bool) -> _Read:
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


def _from_json(text: str, file: str, choice: _Choice) -> _Read:
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
        raise ValueError(f"the {name} is {value!r}; it must be a text")
    try:
        text = text_of(value)
    except TypeError:
        shown = dict(value) if isinstance(value, Pairs) else value
        raise ValueError(f"the {name} is {shown!r}; it must be a text or a number") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the {name} {text!r} holds characters that no text has") from None
    return text


def _from_parquet(data: bytes, file: str, choice: _Choice) -> _Read:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            schema = parquet.schema_arrow
            names = [name.strip() for name in schema.names]
            positions = choice.positions(file, names)
            if choice.optional is None:  # what is no text is left out where all is asked for
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
        raise TableError(f"{file} is not Parquet: {reason}.") from None
    return names, columns, range(table.num_rows)


def _texts(file: str, name: str, column: Any) -> list[str]:
    try:
        return texts(column)
    except UnicodeDecodeError:
        raise TableError(f"{file}: the column {name!r} holds a text that is not UTF-8.") from None


def _check_type(file: str, name: str, kind: Any) -> None:
    if name in PATHS and not is_text(kind):
        raise TableError(f"{file}: the column {name!r} holds {kind}; it must hold texts.")
    if not can_be_text(kind):
        raise TableError(
            f"{file}: the column {name!r} holds {kind}; it must hold texts or numbers."
        )
