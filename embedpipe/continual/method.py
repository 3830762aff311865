"""The base class of continual-learning methods, their registry, and the methods for any head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from .._loops.fitting import Batch
from .._registry import Registry
from .._specs import build, format_spec, named_by
from ..errors import UsageError
from .learner import Learner

__all__ = [
    "Cumulative",
    "GDumbMethod",
    "Joint",
    "Method",
    "Naive",
    "Replay",
    "get_method",
    "methods",
]


class Method(ABC):
    """A method of continual learning: how a head learns an experience.

    A subclass has a `name`, the method `learn`, and ``@methods.register(name)``. Options are
    arguments of the constructor, stored as attributes of the same names. A method has no other
    state: what it needs in the next experience is in the head, so that runs can be resumed.

    Attributes
    ----------
    name
        The registered name.
    replays
        Whether the method uses a replay buffer.
    at_once
        Whether all experiences are learned together, so that the run has one record.
    fills_first
        Whether the new rows enter the buffer before the head learns.
    """

    name: ClassVar[str]
    replays: ClassVar[bool] = False
    at_once: ClassVar[bool] = False
    fills_first: ClassVar[bool] = False

    def __str__(self) -> str:
        return format_spec(self)

    @abstractmethod
    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Return the head after an experience.

        Parameters
        ----------
        learner
            Trains copies of the head.
        head
            The head after the last experience; None in the first.
        batches
            The labelled rows of each experience so far.
        kept
            The rows of the buffer.
        """

    def check_head(self, head: Any) -> None:  # noqa: B027  (optional)
        """Refuse a head that does not support the method.

        Raises
        ------
        UsageError
            If the head lacks what the method needs.
        """


methods: Registry[type[Method]] = named_by(Registry("method", "embedpipe.methods"))
"""Every continual-learning method by name; ``@methods.register("name")`` adds one."""


def get_method(name: str, **options: Any) -> Method:
    """Return a new method from its spec string, such as ``"ewc(strength=10)"``.

    `options` are further arguments of the constructor.

    Raises
    ------
    UnknownNameError
        If no method has this name, or the method has no option of a given name.
    UsageError
        If the spec string or the value of an option is invalid.

    Examples
    --------
    >>> get_method("ewc(strength=10)").strength
    10.0
    """
    method: Method = build(methods, name, **options)
    return method


class _Incremental(Method):
    """A method that continues the training of the last head."""

    def check_head(self, head: Any) -> None:
        """Refuse a head without `partial_fit`."""
        if not hasattr(head, "partial_fit"):
            raise UsageError(
                f"method {self.name} needs a head with partial_fit, which {kind_of(head)} does not "
                "have: use method cumulative or joint, or a head such as logistic or slda."
            )


@methods.register("replay")
class Replay(_Incremental):
    """Continue training on the new rows and the rows of a buffer.

    References
    ----------
    Chaudhry, Rohrbach, Elhoseiny et al. (2019), "On tiny episodic memories in continual learning",
    arXiv:1902.10486.
    """

    name: ClassVar[str] = "replay"
    replays: ClassVar[bool] = True

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Train on the new rows and the buffer."""
        return learner.continue_fit(head, batches[-1], kept)

    def check_head(self, head: Any) -> None:
        """Refuse a head without `partial_fit`, or one that needs no buffer."""
        super().check_head(head)
        if getattr(head, "exact_on_streams", False):
            raise UsageError(
                f"{kind_of(head)} is exact on streams and would count replayed rows twice: use "
                "method naive, which gives the same head as all rows at once."
            )


@methods.register("naive")
class Naive(_Incremental):
    """Continue training on the new rows only: the lower baseline."""

    name: ClassVar[str] = "naive"

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Train on the new rows."""
        return learner.continue_fit(head, batches[-1], kept)


@methods.register("cumulative")
class Cumulative(Method):
    """A new head from all rows so far: an upper baseline."""

    name: ClassVar[str] = "cumulative"

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Fit a new head to all rows so far."""
        return learner.fresh_fit(batches)


@methods.register("joint")
class Joint(Method):
    """One new head from all rows of the stream at once: the upper baseline."""

    name: ClassVar[str] = "joint"
    at_once: ClassVar[bool] = True

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Fit a new head to all rows."""
        return learner.fit_at_once(batches)


@methods.register("gdumb")
class GDumbMethod(Method):
    """A new head from the rows of the buffer only; new rows enter the buffer first.

    The policies ``gdumb`` and ``class_balanced`` fill the buffer as in the paper.

    References
    ----------
    Prabhu, Torr, Dokania (2020), "GDumb: a simple approach that questions our progress in
    continual learning", ECCV.
    """

    name: ClassVar[str] = "gdumb"
    replays: ClassVar[bool] = True
    fills_first: ClassVar[bool] = True

    def learn(self, learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
        """Fit a new head to the buffer."""
        return learner.fit_to(kept, len(batches))


def kind_of(head: Any) -> str:
    """Return the name of the class of a head or of the classifier that it wraps."""
    return type(getattr(head, "estimator", head)).__name__
