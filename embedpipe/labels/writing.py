"""Writing label files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from .._files import write_atomically
from ..errors import LabelError
from ._formats import COLUMNS, format_of


def write_labels(labels: Mapping[str, str], path: str | Path) -> Path:
    """Write which item has which label, so that `read_labels` gives the same back.

    Parameters
    ----------
    labels
        Label by item id, in the order in which they are to stand.
    path
        A ``.csv``, ``.jsonl`` or ``.parquet`` file, written whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    LabelError
        If the suffix is another, a path or label is blank, a label begins or ends with a space,
        or a text is not valid Unicode.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     print(write_labels({"cats/1.jpg": "cat"}, f"{folder}/labels.csv").read_text())
    path,label
    cats/1.jpg,cat
    <BLANKLINE>
    """
    path = Path(path)
    suffix = format_of(path)
    for item, label in labels.items():
        _check(item, label)
    encode = {".csv": _csv_bytes, ".jsonl": _jsonl_bytes, ".parquet": _parquet_bytes}[suffix]
    write_atomically(path, encode(labels))
    return path


def _check(item: str, label: str) -> None:
    """Refuse what `read_labels` would not give back as it was."""
    if not item.strip():
        raise LabelError(f"a label ({label!r}) has a blank path: every label belongs to an item.")
    if not label.strip():
        raise LabelError(f"the label of {item!r} is blank: leave unlabelled items out.")
    if label != label.strip():
        raise LabelError(f"the label {label!r} of {item!r} begins or ends with a space.")
    for text in (item, label):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LabelError(f"{text!r} is not valid Unicode: rename the file.") from None


def _csv_bytes(labels: Mapping[str, str]) -> bytes:
    text = io.StringIO(newline="")
    # Beside the terminator "\n", a lone "\r" ends a line for readers but is not quoted by itself.
    returns = any("\r" in cell for pair in labels.items() for cell in pair)
    if returns:
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    else:
        writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(labels.items())
    return text.getvalue().encode()


def _jsonl_bytes(labels: Mapping[str, str]) -> bytes:
    lines = (
        json.dumps(dict(zip(COLUMNS, pair, strict=True)), ensure_ascii=False) + "\n"
        for pair in labels.items()
    )
    return "".join(lines).encode()


def _parquet_bytes(labels: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "path": pa.array(labels.keys(), pa.string()),
            "label": pa.array(labels.values(), pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
