"""The cells of a study: one run each, with its setting and its seed."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Generic, TypeVar

__all__ = ["NONE", "Cell", "ReplayCell", "ReplaySetting", "Setting"]

NONE = "none"
"""The backbone of vectors that are no embeddings."""


@dataclass(frozen=True, order=True)
class Setting:
    """What the runs of an experiment that differ only in their seed have in common.

    Attributes
    ----------
    dataset, backbone
        Of the vectors.
    initial, strategy
        Of the first batch, and of every further one.
    head, mode
        The classifier, and how it is trained from round to round.

    Examples
    --------
    >>> print(Setting("digits", "toy", "typiclust", "margin", "logistic", "cumulative"))
    digits, toy: typiclust, then margin; logistic, cumulative
    """

    dataset: str
    backbone: str
    initial: str
    strategy: str
    head: str
    mode: str

    def __str__(self) -> str:
        return f"{self.vectors}: {self.chosen_by}; {self.head}, {self.mode}"

    @property
    def vectors(self) -> str:
        """The dataset and the backbone, in words."""
        return self.dataset if self.backbone == NONE else f"{self.dataset}, {self.backbone}"

    @property
    def where(self) -> str:
        """All but the strategies, in words."""
        return f"{self.vectors}; {self.head}, {self.mode}"

    @property
    def chosen_by(self) -> str:
        """The strategies in words: ``"typiclust, then margin"``, or one name if it is the same."""
        if self.initial == self.strategy:
            return self.strategy
        return f"{self.initial}, then {self.strategy}"

    @property
    def surroundings(self) -> tuple[str, str, str, str]:
        """All but the strategies: settings that share it can be compared with each other."""
        return self.dataset, self.backbone, self.head, self.mode

    @property
    def kind(self) -> tuple[str, ...]:
        """Settings of one kind take about the same time for a round."""
        return self.dataset, self.strategy


@dataclass(frozen=True, order=True)
class ReplaySetting:
    """What the runs of a replay study that differ only in their seed have in common.

    Attributes
    ----------
    stream, head
        Their names.
    method
        See `ContinualLoop`.
    policy, retain
        Of the buffer: the policy's spec string, and ``"0.05"`` or ``"500"``; empty for methods
        without one.
    """

    stream: str
    head: str
    method: str
    policy: str = ""
    retain: str = ""

    def __str__(self) -> str:
        return f"{self.stream}: {self.head}, {self.learned}"

    @property
    def learned(self) -> str:
        """How, in words: ``"el2n, 5 %"`` or ``"joint"``."""
        share = self.retain and not self.retain.isdecimal()
        size = f"{100 * float(self.retain):g} %" if share else f"{self.retain} rows"
        return f"{self.policy}, {size}" if self.policy else self.method

    @property
    def kind(self) -> tuple[str, ...]:
        """Settings of one kind take about the same time for an experience."""
        return self.stream, self.head, self.method


S = TypeVar("S", Setting, ReplaySetting)


@dataclass(frozen=True)
class Cell(Generic[S]):
    """One run of a study.

    Attributes
    ----------
    setting
        All but the seed: a `Setting`, or a `ReplaySetting` in a replay study.
    seed
        Everything random follows from it.
    run_id
        The name of the run's folder in ``runs/`` of the workspace. Studies that ask for the same
        run share it.

    Examples
    --------
    >>> setting = Setting("digits", "toy", "random", "random", "logistic", "cumulative")
    >>> print(Cell(setting, seed=3))
    digits, toy: random; logistic, cumulative; seed 3
    """

    setting: S
    seed: int
    run_id: str = field(default="")

    def __str__(self) -> str:
        return f"{self.setting}; seed {self.seed}"

    @property
    def kind(self) -> tuple[str, ...]:
        """Cells of one kind take about the same time for a round."""
        return self.setting.kind

    @property
    def coordinates(self) -> tuple[str | int, ...]:
        """The place of the cell in the study: the setting's parts and the seed."""
        return (*astuple(self.setting), self.seed)


ReplayCell = Cell[ReplaySetting]
"""A cell of a replay study."""
