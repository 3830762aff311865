"""The report of a selection: its data and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .pages import check_type, plural, write_page
from .picks import Pick
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..active import Group
    from ..embedding import Embeddings
    from ..strategies import Selection

__all__ = ["Represented", "SelectionData", "selection_of", "write_selection"]


@dataclass(frozen=True)
class Represented:
    """The number of similar images that one pick represents, and the nearest of them."""

    size: int
    members: tuple[Pick, ...]


@dataclass(frozen=True)
class SelectionData:
    """The data of a page of picks.

    Attributes
    ----------
    title, facts, command
        Name of the dataset, names and values below the headline, the command line.
    strategy, diagnostics
        Name of the strategy, and other names and values behind "Details".
    picks
        Picks in order of selection.
    groups
        The images that each pick represents; empty without groups.
    source
        The selection, for sections of other packages.
    """

    title: str
    strategy: str
    facts: tuple[tuple[str, str], ...]
    picks: tuple[Pick, ...]
    groups: tuple[Represented, ...] = ()
    diagnostics: tuple[tuple[str, str], ...] = ()
    command: str | None = None
    source: Any = field(default=None, repr=False, compare=False)


def selection_of(
    embeddings: Embeddings,
    selection: Selection,
    *,
    strategy: str,
    groups: Sequence[Group] = (),
    members: int = 12,
    facts: Sequence[tuple[str, str]] = (),
    details: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> SelectionData:
    """Return the data of a page of picks.

    Parameters
    ----------
    embeddings, selection
        Embeddings of the dataset, and the picks.
    strategy
        Name of the strategy.
    groups, members
        The items that each pick represents, and the maximum number of these items on the page
        for each pick.
    facts, details, command
        More names and values below the headline and behind "Details", and the command line.
    """
    shown = [int(row) for row in selection.rows]
    shown += [int(row) for group in groups for row in group.rows[:members]]
    ids = {row: embeddings.items[row].id for row in shown}
    thumbnails = thumbnails_of(embeddings.dataset, sorted(set(ids.values())))

    def picks(rows: Any, scores: Any) -> tuple[Pick, ...]:
        pairs = zip(rows.tolist(), scores.tolist(), strict=True)
        return tuple(Pick(ids[row], score, None, thumbnails.get(ids[row])) for row, score in pairs)

    return SelectionData(
        title=embeddings.dataset.name,
        strategy=strategy,
        facts=(("images", f"{len(embeddings):,}"), *facts),
        picks=picks(selection.rows, selection.scores),
        groups=tuple(
            Represented(group.rows.size, picks(group.rows[:members], group.distances[:members]))
            for group in groups
        ),
        diagnostics=(
            *details,
            *(
                (name.replace("_", " "), _as_text(value))
                for name, value in selection.diagnostics.items()
                if _as_text(value)
            ),
        ),
        command=command,
        source=selection,
    )


def _as_text(value: Any) -> str:
    """Return a number or text as text; empty for arrays."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else ""


def write_selection(path: str | Path, data: SelectionData) -> Path:
    """Write a page of picks, whole or not at all; `data` is from `selection_of`.

    Examples
    --------
    >>> data = SelectionData("clothing", "coreset", (("images", "3,068"),), (Pick("a.jpg", 0.5),))
    >>> "1 image to label next" in write_selection(tmp / "picks.html", data).read_text()
    True
    """
    check_type(data, SelectionData, "give the result of `selection_of`")
    return write_page(
        path,
        "selection.html.j2",
        data,
        f"{plural(len(data.picks), 'image')} to label next",
        "Beside each image: the similar images that it represents, nearest first."
        if data.groups
        else "",
        details=(("strategy", data.strategy), *data.diagnostics),
    )
