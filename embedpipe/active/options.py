"""The options of an active-learning loop, and the id of its run."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._loops.fitting import run_head
from .._loops.runs import RESULTS_VERSION, identity_of, run_id_of
from .._options import LoopFields, documented
from .._seeds import check_seed
from .._specs import format_spec
from ..errors import UsageError
from ..strategies import Strategy, get_strategy, strategies
from .ceiling import CEILING, OracleCeiling
from .modes import Mode, get_mode
from .problem import ProblemIdentity
from .records import FORMAT

__all__ = ["LoopOptions"]


@documented
@dataclass(frozen=True)
class LoopOptions(LoopFields):
    """Checked options of an `ActiveLoop`.

    Strategies are spec strings such as ``"margin"`` or `Strategy` objects; the initial strategy
    must not need labels. A head is a spec string or a scikit-learn classifier with
    ``predict_proba``. A head without its own ``seed`` or ``random_state`` uses the seed of the
    loop. ``advice="full"`` cross-validates the head in every round, for the advice on stopping and
    the expected accuracy; ``"cheap"`` does not. ``oracle_ceiling=True`` replaces both strategies by
    a reference that reads true labels of unlabelled items, see `Experiment`.

    Examples
    --------
    >>> options = LoopOptions(strategy="margin", seed=3)
    >>> options.run_id(ProblemIdentity("digits", "0" * 64)).rpartition("-")[0]
    'digits-coreset-margin-s3'
    >>> LoopOptions(mode="incremental", head="sklearn.neighbors:KNeighborsClassifier")
    Traceback (most recent call last):
    embedpipe.errors.UsageError: mode 'incremental' continues from the weights of the previous \
round, but a KNeighborsClassifier has no method partial_fit: use mode cumulative, or a head such \
as mlp.
    """

    def __post_init__(self) -> None:
        mode = self.built_mode
        _ = self.built_strategy, self.built_initial  # raises if a name is unknown
        object.__setattr__(self, "seed", check_seed(self.seed))
        head = self.built_head
        if not hasattr(head, "predict_proba"):
            raise UsageError(
                f"a {type(head).__name__} gives no probabilities: wrap it in scikit-learn's "
                "CalibratedClassifierCV."
            )
        mode.check(self.mode, head)
        if not _is_whole(self.skip, 0):
            raise UsageError(f"skip is {self.skip!r}: give a whole number, at least 0.")
        if self.buffer_size is not None and self.mode != "replay":
            raise UsageError(f"buffer_size is for mode 'replay', and this is mode {self.mode!r}.")
        if self.buffer_size is not None and not _is_whole(self.buffer_size, 1):
            raise UsageError(
                f"buffer_size is {self.buffer_size!r}: give a whole number, at least 1."
            )
        if self.advice not in ("full", "cheap"):
            raise UsageError(f"unknown advice {self.advice!r}: use full or cheap.")

    @cached_property
    def built_strategy(self) -> Strategy:
        """The strategy of every round but the first, as an object."""
        return get_strategy(self.strategy) if isinstance(self.strategy, str) else self.strategy

    @cached_property
    def built_initial(self) -> Strategy:
        """The strategy of the first batch, as an object."""
        return get_strategy(self.initial) if isinstance(self.initial, str) else self.initial

    @cached_property
    def built_head(self) -> Any:
        """The unfitted head, with the seed of the loop."""
        return run_head(self.head, self.seed)

    @property
    def built_mode(self) -> Mode:
        """The training mode, as an object."""
        return get_mode(self.mode)

    @property
    def replayed(self) -> int | None:
        """Number of earlier labels that mode ``replay`` trains on; None in other modes."""
        if self.mode != "replay":
            return None
        return self.batch_size if self.buffer_size is None else self.buffer_size

    def config(self, problem: ProblemIdentity) -> dict[str, Any]:
        """Return everything that determines picks and measures on a problem, as plain JSON."""
        if self.oracle_ceiling:
            chosen_by = {"oracle_ceiling": OracleCeiling.config()}
        else:
            chosen_by = {
                "strategy": _identity_of(self.built_strategy),
                "initial": _identity_of(self.built_initial),
            }
        return {
            "version": RESULTS_VERSION,
            "dataset": problem.name,
            "spec_id": problem.spec_id,
            "problem": problem.digest,
            **chosen_by,
            "head": identity_of(self.built_head),
            "initial_size": self.initial_size,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "mode": self.mode,
            "buffer_size": self.replayed,
            "skip": self.skip,
            "labelling": identity_of(dataclasses.asdict(self.labelling)),
            "index": problem.index,
            "advice": self.advice,
        }

    def run_id(self, problem: ProblemIdentity) -> str:
        """Return the id of the run on a problem."""
        names = [self.built_initial.name, self.built_strategy.name]
        if self.oracle_ceiling:
            names = [CEILING.replace(" ", "-")]
        name = "-".join([problem.name, *names, f"s{self.seed}"])
        return run_id_of(name, {"format": FORMAT, **self.config(problem)})


def _is_whole(value: Any, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value >= least)


def _identity_of(strategy: Strategy) -> Any:
    """Return the spec string of a strategy; without a spec string, its class and attributes."""
    if strategy.name in strategies and strategies[strategy.name] is type(strategy):
        # `format_spec` raises an error for a strategy without a spec string.
        with contextlib.suppress(UsageError):
            return format_spec(strategy)
    return identity_of(strategy)
