"""From a selection to what its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .data import Pick, Represented, SelectionData
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..active import Group
    from ..embedding import Embeddings
    from ..strategies import Selection

__all__ = ["selection_of"]


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
            (name.replace("_", " "), _told(value))
            for name, value in selection.diagnostics.items()
            if _told(value)
        ),
        command=command,
    )


def _told(value: Any) -> str:
    """Return a number or a text as a reader would say it; nothing of lists."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else ""
