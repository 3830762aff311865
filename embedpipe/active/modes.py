"""Training modes: how the head of each round is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._loops.fitting import Batch, Trainer, joined
from ..errors import UnknownNameError, UsageError

__all__ = ["MODES", "Mode", "get_mode"]

Train = Callable[[Trainer, Any, Sequence[Batch]], Any]
"""Function of the trainer, the previous head and all batches, oldest first.

It may change the previous head.
"""


@dataclass(frozen=True)
class Mode:
    """A training mode.

    Attributes
    ----------
    train
        Returns the head of a round from the previous head and all batches, none of them empty.
    from_all
        Whether the head learns from all labels equally, so that it can be cross-validated on them.
    needs_history
        Whether the head depends on the previous heads.
    needs
        ``"partial_fit"`` or ``"warm_start"`` if the head must have it.
    """

    train: Train
    from_all: bool
    needs_history: bool
    needs: str | None = None

    def check(self, name: str, head: Any) -> None:
        """Raise an error if a head does not support this mode."""
        if not _has(head, self.needs):
            able = [other for other, mode in MODES.items() if _has(head, mode.needs)]
            what = "method partial_fit" if self.needs == "partial_fit" else f"{self.needs} option"
            raise UsageError(
                f"mode {name!r} continues from the weights of the previous round, but a "
                f"{type(getattr(head, 'estimator', head)).__name__} has no {what}: use mode "
                f"{' or '.join(able)}, or a head such as mlp."
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
"""The modes by name. *cumulative*: a new head, all labels. *half_cumulative*: the previous weights,
all labels. *incremental*: the previous weights, the newest batch. *replay*: the previous weights,
the newest batch and a sample of earlier labels."""


def get_mode(name: str) -> Mode:
    """Return the mode of a name."""
    if name not in MODES:
        raise UnknownNameError("mode", str(name), MODES)
    return MODES[name]
