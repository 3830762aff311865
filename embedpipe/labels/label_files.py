"""Label files: tables with the columns ``path`` and ``label``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import LabelError
from ..tables import changed_number, read_table, sure_labels, tidy, write_table

__all__ = ["read_labels", "write_labels"]


def read_labels(path: str | Path) -> dict[str, str]:
    r"""Read a label file.

    Parameters
    ----------
    path
        A ``.csv``, ``.jsonl`` or ``.parquet`` table with the columns ``path`` (relative to the
        dataset's folder) and ``label``. Rows with a blank label, or with the ``status`` ``skip``
        or ``unsure``, have no label. Other columns are ignored.

    Returns
    -------
    dict
        Labels by path, in the order of the file.

    Raises
    ------
    LabelError
        If the file is damaged, lacks a column, has two labels for one path, or contains
        predictions of `predict`.

    Examples
    --------
    >>> _ = (tmp / "labels.csv").write_text("path,label\ncats/1.jpg,cat\ncats/2.jpg,\n")
    >>> read_labels(tmp / "labels.csv")
    {'cats/1.jpg': 'cat'}
    """
    table = read_table(path, ("path", "label"), ("status",), what="label file")
    labels: dict[str, str] = {}
    rows = zip(table.columns["path"], sure_labels(table), strict=True)
    for row, (cell, label) in enumerate(rows):
        item = tidy(cell)
        if not item.strip():
            raise table.fault(row, "the path is blank. Fill it in or remove the row.")
        if label and labels.setdefault(item, label) != label:
            raise table.fault(
                row,
                f"{item!r} is labelled {label!r} here, but {labels[item]!r} earlier in the file. "
                "Keep one of the two.",
            )
    return labels


def write_labels(labels: Mapping[str, str], path: str | Path) -> Path:
    r"""Write labels by item id to a ``.csv``, ``.jsonl`` or ``.parquet`` file.

    `LabelError` is raised if `read_labels` would return another path or label.

    Examples
    --------
    >>> write_labels({"cats/1.jpg": "cat"}, tmp / "labels.csv").read_text()
    'path,label\ncats/1.jpg,cat\n'
    """
    for item, label in labels.items():
        _check(item, label)
    paths, names = list(labels), list(labels.values())
    at = changed_number(names)
    if at is not None:
        raise LabelError(
            f"the label {names[at]!r} of {paths[at]!r} would be read without '.0', because all "
            "labels are whole numbers. Rename the label."
        )
    return write_table({"path": paths, "label": names}, path)


def _check(item: str, label: str) -> None:
    """Refuse a path or label that `read_labels` would change."""
    if not item.strip():
        raise LabelError(f"the label {label!r} has a blank path. Give the path of its image.")
    if item != tidy(item):
        raise LabelError(f"the path {item!r} has empty parts or a '.'. Write {tidy(item)!r}.")
    if not label.strip():
        raise LabelError(f"the label of {item!r} is blank. Leave out items without a label.")
    if label != label.strip():
        raise LabelError(
            f"the label {label!r} of {item!r} begins or ends with a space. Remove the space."
        )
    for text in (item, label):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LabelError(f"{text!r} is not valid Unicode. Rename the file.") from None
        if "\0" in text:
            raise LabelError(f"{text!r} contains a null character. Remove the character.")
