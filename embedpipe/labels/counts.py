"""Counts by kind, each with an example, for messages and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Counted", "count", "listed", "told_rewritten"]


@dataclass
class Counted:
    """Number of things of one kind, and the first of them."""

    count: int
    example: str


def count(kinds: dict[str, Counted], kind: str, example: str) -> None:
    """Count one more thing of a kind."""
    if kind in kinds:
        kinds[kind].count += 1
    else:
        kinds[kind] = Counted(1, example)


def listed(kinds: Mapping[str, Counted]) -> str:
    """Return the counts as a list in words.

    Examples
    --------
    >>> listed({"in no_label/": Counted(2, "'1.jpg'")})
    "2 in no_label/ ('1.jpg')"
    """
    return ", ".join(f"{one.count} {kind} ({one.example})" for kind, one in kinds.items())


def told_rewritten(kinds: Mapping[str, Counted]) -> str:
    """Return a clause: how many paths were rewritten, and how; blank if none was."""
    number = sum(one.count for one in kinds.values())
    if not number:
        return ""
    return f"{number} path{'s' if number > 1 else ''} rewritten: {listed(kinds)}"
