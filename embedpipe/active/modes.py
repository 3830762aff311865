"""Training modes: how the head of a round comes from the head before it and the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._loops.fitting import Batch, Trainer, joined
from ..errors import UnknownNameError, UsageError

__all__ = ["MODES", "Mode", "get_mode"]

Train = Callable[[Trainer, Any, Sequence[Batch]], Any]
"""From the head before (None at first; it may be changed) and all batches, oldest first."""


@dataclass(frozen=True)
class Mode:
    """One way to train the head from round to round.

    Attributes
    ----------
    train
        Makes the head of a round from the head before it and the batches so far, of which none
        is empty.
    from_all
        Whether the head of a round has learned from all labels equally, so that it is judged by
        cross-validation on them.
    needs_history
        Whether the head depends on the heads before, which are then trained again when a run is
        continued.
    needs
        What the head must have: the method ``partial_fit``, the parameter ``warm_start``.
    """

    train: Train
    from_all: bool
    needs_history: bool
    needs: str | None = None

    def check(self, name: str, head: Any) -> None:
        """Refuse a head that cannot be trained in this mode."""
        if not _has(head, self.needs):
            able = [other for other, mode in MODES.items() if _has(head, mode.needs)]
            what = "method partial_fit" if self.needs == "partial_fit" else f"{self.needs} option"
            raise UsageError(
                f"mode {name!r} goes on from the weights of the round before, and a "
                f"{type(getattr(head, 'estimator', head)).__name__} has no {what} for that: use "
                f"mode {' or '.join(able)}, or a head such as mlp."
            )


def _has(head: Any, what: str | None) -> bool:
    if what is None:
        return True
    return hasattr(head, what) if what == "partial_fit" else what in head.get_params(deep=False)


def _cumulative(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    return trainer.fit(trainer.fresh(), joined(batches))


def _half_cumulative(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    head = trainer.fresh(warm_start=True) if before is None else before
    return trainer.fit(head, joined(batches))


def _incremental(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    return trainer.partial_fit(trainer.fresh() if before is None else before, batches[-1])


def _replay(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    if before is None:
        return trainer.partial_fit(trainer.fresh(), batches[-1])
    return trainer.partial_fit(before, joined([trainer.buffer(batches[:-1]), batches[-1]]))


MODES: dict[str, Mode] = {
    "cumulative": Mode(_cumulative, from_all=True, needs_history=False),
    "half_cumulative": Mode(
        _half_cumulative, from_all=True, needs_history=True, needs="warm_start"
    ),
    "incremental": Mode(_incremental, from_all=False, needs_history=True, needs="partial_fit"),
    "replay": Mode(_replay, from_all=False, needs_history=True, needs="partial_fit"),
}
"""The modes by name: *cumulative*, a fresh head from all labels; *half_cumulative*, the weights
are kept, all labels; *incremental*, the weights are kept, the newest batch alone; *replay*, the
newest batch and a sample of the earlier labels."""


def get_mode(name: str) -> Mode:
    """Return the mode of that name, or refuse it."""
    if name not in MODES:
        raise UnknownNameError("mode", str(name), MODES)
    return MODES[name]
