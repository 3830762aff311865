"""Training modes: how the head of each round is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._loops.fitting import Batch, Trainer, joined
from ..errors import UnknownNameError, UsageError

__all__ = ["MODES", "Mode", "get_mode"]

Train = Callable[[Trainer, Any, Sequence[Batch]], Any]
"""Function that returns the trained head of a round.

Its arguments are the trainer, the head of the previous round or None, and all batches, oldest
first. The function can change the previous head in place.
"""


@dataclass(frozen=True)
class Mode:
    """A training mode.

    Attributes
    ----------
    train
        Function that returns the trained head of a round; see `Train`. No batch is empty.
    from_all
        Whether the head learns from all labels equally, so that it can be cross-validated on them.
    needs_history
        Whether the head depends on the previous heads.
    needs
        Method or option that the head must have: ``"partial_fit"``, ``"warm_start"`` or None.
    """

    train: Train
    from_all: bool
    needs_history: bool
    needs: str | None = None

    def check(self, name: str, head: Any) -> None:
        """Raise an error if a head does not support this mode."""
        if not _has(head, self.needs):
            supported = [other for other, mode in MODES.items() if _has(head, mode.needs)]
            missing = (
                "method partial_fit" if self.needs == "partial_fit" else f"{self.needs} option"
            )
            raise UsageError(
                f"mode {name!r} continues from the weights of the previous round, but a "
                f"{type(getattr(head, 'estimator', head)).__name__} has no {missing}: use mode "
                f"{' or '.join(supported)}, or a head such as mlp."
            )


def _has(head: Any, need: str | None) -> bool:
    if need is None:
        return True
    return hasattr(head, need) if need == "partial_fit" else need in head.get_params(deep=False)


def _cumulative(trainer: Trainer, previous: Any, batches: Sequence[Batch]) -> Any:
    return trainer.fit(trainer.fresh(), joined(batches))


def _half_cumulative(trainer: Trainer, previous: Any, batches: Sequence[Batch]) -> Any:
    head = trainer.fresh(warm_start=True) if previous is None else previous
    return trainer.fit(head, joined(batches))


def _incremental(trainer: Trainer, previous: Any, batches: Sequence[Batch]) -> Any:
    return trainer.partial_fit(trainer.fresh() if previous is None else previous, batches[-1])


def _replay(trainer: Trainer, previous: Any, batches: Sequence[Batch]) -> Any:
    if previous is None:
        return trainer.partial_fit(trainer.fresh(), batches[-1])
    return trainer.partial_fit(previous, joined([trainer.buffer(batches[:-1]), batches[-1]]))


MODES: dict[str, Mode] = {
    "cumulative": Mode(_cumulative, from_all=True, needs_history=False),
    "half_cumulative": Mode(
        _half_cumulative, from_all=True, needs_history=True, needs="warm_start"
    ),
    "incremental": Mode(_incremental, from_all=False, needs_history=True, needs="partial_fit"),
    "replay": Mode(_replay, from_all=False, needs_history=True, needs="partial_fit"),
}
"""The modes by name. *cumulative* trains a new head on all labels. The other modes continue from
the previous weights. *half_cumulative* trains on all labels, *incremental* on the newest batch.
*replay* trains on the newest batch and a sample of earlier labels."""


def get_mode(name: str) -> Mode:
    """Return the mode with this name."""
    if name not in MODES:
        raise UnknownNameError("mode", str(name), MODES)
    return MODES[name]
