"""Which rows of a table are labels, by whatever door the table comes."""

from __future__ import annotations

from .table_reader import Table

__all__ = ["STATUSES", "canonical_status", "check_no_predictions", "sure_labels"]

STATUSES = ("label", "skip", "unsure")
"""What a person may have answered: a label, not this one, not sure."""


def canonical_status(text: str) -> str | None:
    """Return the status that a cell stands for, in whatever case; None if there is no such status.

    Examples
    --------
    >>> canonical_status("Unsure"), canonical_status(""), canonical_status("maybe")
    ('unsure', 'label', None)
    """
    status = text.strip().lower() or "label"
    return status if status in STATUSES else None


def check_no_predictions(table: Table) -> None:
    """Refuse a table that `predict` wrote: its column ``label`` holds predictions.

    Raises
    ------
    EmbedpipeError
        Of the table's kind.
    """
    guessed = any(name.startswith("probability_") for name in table.names)
    if guessed and "confidence" in table.names:
        raise table.fault(
            None,
            "these are predictions, which are no labels: `predict` wrote them. To have them as "
            "labels all the same, remove the column 'confidence'.",
        )


def sure_labels(table: Table) -> list[str]:
    """Return the label of each row, ``""`` where it has none, is skipped or unsure.

    Raises
    ------
    EmbedpipeError
        Of the table's kind: if these are predictions, or a status is unknown.
    """
    check_no_predictions(table)
    labels = list(table.column("label"))
    if "status" not in table.columns:
        return labels
    for row, text in enumerate(table.columns["status"]):
        status = canonical_status(text)
        if status is None:
            raise table.fault(
                row,
                f"the status is {text!r}; it must be {', '.join(STATUSES)} or blank. Rename the "
                "column if it holds something else.",
            )
        if status != "label":
            labels[row] = ""
    return labels
