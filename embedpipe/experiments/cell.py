"""One cell of a grid: everything that one run is told by."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

__all__ = ["NONE", "Cell", "Setting"]

NONE = "none"
"""The backbone of vectors that are no embeddings."""


@dataclass(frozen=True, order=True)
class Setting:
    """What the runs of a grid that differ in their seed alone have in common.

    Attributes
    ----------
    dataset, backbone
        What the vectors are of, and from.
    initial, strategy
        What chooses the first batch, and every further one.
    head, mode
        What is fitted, and how from round to round.

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


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes
    ----------
    setting
        All but the seed.
    seed
        Everything random follows from it.
    run_id
        The identity of the run, which is kept in ``runs/<run_id>/`` of the workspace; grids that
        ask for the same run share it.

    Examples
    --------
    >>> setting = Setting("digits", "toy", "random", "random", "logistic", "cumulative")
    >>> print(Cell(setting, seed=3))
    digits, toy: random; logistic, cumulative; seed 3
    """

    setting: Setting
    seed: int
    run_id: str = field(default="")

    def __str__(self) -> str:
        return f"{self.setting}; seed {self.seed}"

    @property
    def kind(self) -> tuple[str, str]:
        """What tells how long a round takes."""
        return self.setting.dataset, self.setting.strategy

    @property
    def coordinates(self) -> tuple[str | int, ...]:
        """Where the cell stands in the grid: the setting's parts and the seed."""
        return (*astuple(self.setting), self.seed)
