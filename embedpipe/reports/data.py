"""What a report shows, in plain types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pick:
    """An item that was chosen to be labelled.

    Attributes
    ----------
    id
        Its path relative to the dataset's folder.
    score
        What the strategy gave it.
    label
        The label it received, if it is known.
    thumbnail
        An encoded PNG, JPEG, WebP or GIF, such as `make_thumbnail` returns; None shows its name.
    """

    id: str
    score: float
    label: str | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Round:
    """One turn of the loop: pick, label, fit, evaluate.

    Attributes
    ----------
    round
        Its number.
    labelled
        Items labelled after its picks.
    accuracy, macro_f1
        On the held-out split, from 0 to 1; None when there is none.
    select_seconds, fit_seconds
        How long picking and fitting took.
    strategy
        What chose the picks.
    picks
        In order of choice.
    """

    round: int
    labelled: int
    accuracy: float | None
    macro_f1: float | None
    select_seconds: float
    fit_seconds: float
    strategy: str
    picks: tuple[Pick, ...] = ()


@dataclass(frozen=True)
class Curve:
    """The rounds of one strategy.

    Attributes
    ----------
    name
        As a reader would say it: ``"coreset, then margin"``.
    rounds
        In order.
    baseline
        Whether the other curves are compared with this one.
    """

    name: str
    rounds: tuple[Round, ...]
    baseline: bool = False


@dataclass(frozen=True)
class ReportData:
    """A whole report.

    Attributes
    ----------
    title
        The dataset's name, or what the reader should call this run.
    facts
        Names and values for the line under the title: items, classes, backbone, head, seed …
    curves
        The selected strategy first; at most one is the baseline.
    command
        What was typed to get this report.
    upper_bound
        Accuracy of the same head trained on every label, if it is known.
    advice
        The name of a strategy, and whether to go on labelling with it.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    command: str | None = None
    upper_bound: float | None = None
    advice: str | None = None


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
    """

    title: str
    strategy: str
    facts: tuple[tuple[str, str], ...]
    picks: tuple[Pick, ...]
    groups: tuple[Represented, ...] = ()
    diagnostics: tuple[tuple[str, str], ...] = ()
    command: str | None = None
