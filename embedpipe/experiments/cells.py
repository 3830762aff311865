"""The cells of a study: a cell is one run, with a setting and a seed."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Generic, TypeVar

from ..active.ceiling import CEILING

__all__ = ["NONE", "REFERENCE_METHODS", "Cell", "ReplayCell", "ReplaySetting", "Setting"]

NONE = "none"
"""Name of the backbone for vectors that are not embeddings."""

REFERENCE_METHODS = ("naive", "cumulative", "joint")
"""Methods without a replay buffer. *naive* is the lower baseline; *cumulative* and *joint* are
upper baselines."""


@dataclass(frozen=True, order=True)
class Setting:
    """A cell without its seed; `initial` is the strategy of the first batch.

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
        """The dataset and the backbone as text."""
        return self.dataset if self.backbone == NONE else f"{self.dataset}, {self.backbone}"

    @property
    def where(self) -> str:
        """Everything but the strategies, as text."""
        return f"{self.vectors}; {self.head}, {self.mode}"

    @property
    def chosen_by(self) -> str:
        """The strategies as text: ``"typiclust, then margin"``, or one name if they are equal."""
        if self.is_ceiling:
            return f"{CEILING} (uses true labels)"
        if self.initial == self.strategy:
            return self.strategy
        return f"{self.initial}, then {self.strategy}"

    @property
    def is_ceiling(self) -> bool:
        """Whether true labels choose the batches: a reference, not a strategy."""
        return self.strategy == CEILING

    @property
    def surroundings(self) -> tuple[str, str, str, str]:
        """Everything but the strategies, as a key: settings with equal keys can be compared."""
        return self.dataset, self.backbone, self.head, self.mode

    @property
    def kind(self) -> tuple[str, ...]:
        """Key that is equal for settings whose rounds take about the same time."""
        return self.dataset, self.strategy


@dataclass(frozen=True, order=True)
class ReplaySetting:
    """A cell of a replay study without its seed.

    Attributes
    ----------
    stream, head, method
        See `ReplayStudy`.
        `method` is a spec string.
    policy, retain
        Spec string of the replay policy, and the buffer size as ``"0.05"`` or ``"500"``. Both are
        empty for methods without a buffer.
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
        """The policy with its buffer size, or the method: ``"el2n, 5 %"`` or ``"joint"``.

        A method with a buffer other than replay comes first: ``"der; el2n, 5 %"``.
        """
        if not self.policy:
            return self.method
        size = f"{self.retain} rows"
        if not self.retain.isdecimal():
            size = f"{100 * float(self.retain):g} %"
        method = "" if self.method == "replay" else f"{self.method}; "
        return f"{method}{self.policy}, {size}"

    def is_baseline(self, policy: str) -> bool:
        """Return whether this is the baseline: replay with this policy."""
        return self.method == "replay" and self.policy == policy

    @property
    def is_reference(self) -> bool:
        """Whether the method is a lower or upper baseline, not one that is compared."""
        return self.method in REFERENCE_METHODS

    @property
    def kind(self) -> tuple[str, ...]:
        """Key that is equal for settings whose experiences take about the same time."""
        return self.stream, self.head, self.method


S = TypeVar("S", Setting, ReplaySetting)


@dataclass(frozen=True)
class Cell(Generic[S]):
    """One run of a study: a `Setting` or `ReplaySetting`, a seed, and the name of the run's folder.

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
        """Key that is equal for cells whose rounds take about the same time."""
        return self.setting.kind

    @property
    def coordinates(self) -> tuple[str | int, ...]:
        """The parts of the setting, and the seed."""
        return (*astuple(self.setting), self.seed)


ReplayCell = Cell[ReplaySetting]
"""A cell of a replay study."""
