"""Label files: which item has which label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import LabelError
from ..tables import changed_number, read_table, sure_labels, tidy, write_table

__all__ = ["read_labels", "write_labels"]


def read_labels(path: str | Path) -> dict[str, str]:
    r"""Read a file that gives items their labels.

    Parameters
    ----------
    path
        A ``.csv`` with a header, a ``.jsonl`` or a ``.parquet`` file with the columns ``path``
        (relative to the dataset's folder) and ``label``, read by `tables.read_table`. A blank
        label is no label. A row whose column ``status`` is ``skip`` or ``unsure`` has no label.
        Other columns are ignored. A path may come again with the same label.

    Returns
    -------
    dict
        Label by path, in the order of the file.

    Raises
    ------
    LabelError
        If the file is missing or damaged, lacks a column, gives one path two labels, or if its
        labels are predictions that `predict` wrote.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "labels.csv"
    ...     _ = file.write_text("path,label\ncats/1.jpg,cat\ncats/2.jpg,\n")
    ...     read_labels(file)
    {'cats/1.jpg': 'cat'}
    """
    table = read_table(path, ("path", "label"), ("status",), what="label file")
    labels: dict[str, str] = {}
    rows = zip(table.columns["path"], sure_labels(table), strict=True)
    for row, (given, label) in enumerate(rows):
        item = tidy(given)
        if not item.strip():
            raise table.fault(row, "no path; fill it in or remove the row.")
        if label and labels.setdefault(item, label) != label:
            before = labels[item]
            raise table.fault(
                row, f"{item!r} is labelled {label!r}, but {before!r} before. Keep one of the two."
            )
    return labels


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
        If the suffix is another, or a path or a label would be read as another one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     print(write_labels({"cats/1.jpg": "cat"}, f"{folder}/labels.csv").read_text())
    path,label
    cats/1.jpg,cat
    <BLANKLINE>
    """
    for item, label in labels.items():
        _check(item, label)
    names = list(labels.values())
    at = changed_number(names)
    if at is not None:
        raise LabelError(
            f"the label {names[at]!r} of {list(labels)[at]!r} would be read without '.0', because "
            "all are whole numbers: rename it."
        )
    return write_table({"path": list(labels), "label": list(labels.values())}, path)


def _check(item: str, label: str) -> None:
    """Refuse what `read_labels` would not give back as it was."""
    if not item.strip():
        raise LabelError(f"a label ({label!r}) has a blank path: every label belongs to an item.")
    if item != tidy(item):
        raise LabelError(f"the path {item!r} has empty parts or a '.': write {tidy(item)!r}.")
    if not label.strip():
        raise LabelError(f"the label of {item!r} is blank: leave unlabelled items out.")
    if label != label.strip():
        raise LabelError(f"the label {label!r} of {item!r} begins or ends with a space.")
    for text in (item, label):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LabelError(f"{text!r} is not valid Unicode: rename the file.") from None
        if "\0" in text:
            raise LabelError(f"{text!r} holds a null character: rename it.")
