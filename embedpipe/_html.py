"""HTML of results for notebooks: static tables that fit light and dark themes, without script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from numbers import Integral, Real
from typing import Any

__all__ = ["MAX_ROWS", "result_html"]

MAX_ROWS = 20
"""Maximum number of rows of a table in a notebook."""

_CELL = "padding:.2em .8em .2em 0;vertical-align:top;border:0;background:none;white-space:normal;"
_RULE = "border-bottom:1px solid rgba(128,128,128,.45);"


def result_html(
    title: str,
    facts: Iterable[tuple[str, Any]] = (),
    headings: Sequence[str] = (),
    rows: Iterable[Sequence[Any]] = (),
    *,
    n_rows: int | None = None,
    more: str = "",
) -> str:
    """Return a title, facts and a table of at most 20 rows as HTML; all texts are escaped.

    Parameters
    ----------
    title
        First line.
    facts
        Names and values below the title; None is left out.
    headings, rows
        The table. Numbers with a fraction have three decimals; None is a dash.
    n_rows
        Number of all rows, if `rows` is longer than a table.
    more
        HTML at the end, which is not escaped.

    Examples
    --------
    >>> print(result_html("<hats>", [("images", 3)]))
    <div dir="auto"><strong>&lt;hats&gt;</strong><div>images: <bdi>3</bdi></div></div>
    """
    known = [
        f"{escape(name)}: <bdi>{_text(value)}</bdi>" for name, value in facts if value is not None
    ]
    parts = [f"<strong>{escape(title)}</strong>"]
    if known:
        parts.append(f"<div>{' · '.join(known)}</div>")
    if headings:
        shown = list(islice(rows, MAX_ROWS))
        parts.append(_table(headings, shown))
        left = (len(shown) if n_rows is None else n_rows) - len(shown)
        if left > 0:
            parts.append(f"<div>… {left:,} more row{'s' if left > 1 else ''}</div>")
    return f'<div dir="auto">{"".join(parts)}{more}</div>'


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    columns = list(zip(*rows, strict=True)) or [()] * len(headings)
    aligned = [
        "left" if any(isinstance(value, str) for value in column) or not column else "right"
        for column in columns
    ]
    head = "".join(
        f'<th style="{_CELL}{_RULE}text-align:{side}">{escape(heading)}</th>'
        for heading, side in zip(headings, aligned, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL}text-align:{side}"><bdi>{_text(value)}</bdi></td>'
            for value, side in zip(row, aligned, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0"
    return f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return "–" if math.isnan(value) else f"{float(value):,.3f}"
    return escape(str(value))
