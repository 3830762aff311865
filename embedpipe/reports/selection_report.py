"""The page of a selection: its data, from what a strategy picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .thumbnails import Pick, thumbnails_of

if TYPE_CHECKING:
    from ..active import Group
    from ..embedding import Embeddings
    from ..strategies import Selection

__all__ = ["Represented", "SelectionData", "selection_of"]


@dataclass(frozen=True)
class Represented:
    """What one pick stands for.

    Attributes
    ----------
    size
        How many items.
    members
        The nearest of them; their score is the distance to the pick.
    """

    size: int
    members: tuple[Pick, ...]


@dataclass(frozen=True)
class SelectionData:
    """A whole page of picks.

    Attributes
    ----------
    title
        The dataset's name.
    strategy
        What chose them.
    facts
        Names and values for the line under the title.
    picks
        In order of choice.
    groups
        What each pick stands for, or empty.
    diagnostics
        Names and values that the strategy told.
    command
        What was typed to get this page.
    source
        The selection, for sections that are added to the page.
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
    command: str | None = None,
) -> SelectionData:
    """Return what a page of picks shows.

    Parameters
    ----------
    embeddings
        Of the dataset.
    selection
        What was chosen.
    strategy
        How it was chosen, as a reader would say it.
    groups
        What each pick stands for.
    members
        So many of each group are shown.
    facts
        More names and values for the line under the title.
    command
        What was typed.
    """
    shown = [int(row) for row in selection.rows]
    shown += [int(row) for group in groups for row in group.rows[:members]]
    ids = {row: embeddings.items[row].id for row in shown}
    thumbnails = thumbnails_of(embeddings.dataset, sorted(set(ids.values())))

    def pick(row: int, score: float) -> Pick:
        return Pick(ids[row], score, None, thumbnails.get(ids[row]))

    return SelectionData(
        title=embeddings.dataset.name,
        strategy=strategy,
        facts=(("items", f"{len(embeddings):,}"), *facts),
        picks=tuple(
            pick(int(row), float(score))
            for row, score in zip(selection.rows, selection.scores, strict=True)
        ),
        groups=tuple(
            Represented(
                group.rows.size,
                tuple(
                    pick(int(row), float(distance))
                    for row, distance in zip(
                        group.rows[:members], group.distances[:members], strict=True
                    )
                ),
            )
            for group in groups
        ),
        diagnostics=tuple(
            (name.replace("_", " "), _as_text(value))
            for name, value in selection.diagnostics.items()
            if _as_text(value)
        ),
        command=command,
        source=selection,
    )


def _as_text(value: Any) -> str:
    """Format a number or text; empty for arrays."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else ""
