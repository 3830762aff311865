"""The options of a continual-learning loop, and the identity of a run that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from .._loops.fitting import run_head
from .._loops.runs import RESULTS_VERSION, identity_of, run_id_of
from .._seeds import check_seed
from ..errors import UnknownNameError, UsageError
from ..strategies import Strategy, get_strategy
from .memory import Size, size_of
from .methods import MIXES, Method, get_method
from .policy import NO_BUFFER, Policy, get_policy
from .records import FORMAT
from .stream import StreamIdentity

__all__ = ["ContinualOptions"]


@dataclass(frozen=True)
class ContinualOptions:
    """Options of a `ContinualLoop`; wrong ones are refused at once.

    Attributes
    ----------
    head
        A spec string, or a scikit-learn classifier with ``partial_fit``.
    method
        ``"replay"``: the weights are kept, and the new rows are learned with those of the buffer.
        ``"naive"``: without a buffer. ``"cumulative"``: a fresh head from all rows so far.
        ``"joint"``: one fresh head from all rows, the upper baseline. By default *naive* for heads
        that are exact on streams and lose nothing so, otherwise *replay*.
    policy
        What the buffer keeps: a spec string or a `Policy`; ``"none"``: there is no buffer, and
        the method is *naive*.
    retain
        Size of the buffer: a share of each experience (a float, 0.05), or a number of rows in all
        (an int).
    mix
        ``"concatenated"``: new and remembered rows count alike; ``"balanced"``: the buffer counts
        as much as the new rows together.
    budget
        Labels for each experience; None: all rows are labelled. A row without a label is neither
        learned nor kept.
    strategy
        Chooses the rows to label: a spec string or a `Strategy`.
    initial
        Chooses them in the first experience, and in all for ``"joint"``, which has no head before
        it has everything; it must need no labels.
    seed
        Everything random follows from it and from the experience's number. A head without a
        ``seed`` or ``random_state`` of its own takes this one.

    Raises
    ------
    UsageError
        If an option has no meaning, or the head cannot do what the method asks of it.

    Examples
    --------
    >>> options = ContinualOptions(policy="el2n", retain=0.1)
    >>> options.run_id(StreamIdentity("clear10", "0" * 64)).rpartition("-")[0]
    'clear10-el2n-s0'
    """

    _: KW_ONLY
    head: Any = "logistic"
    method: str | None = None
    policy: str | Policy = "random"
    retain: float | int | Size = 0.05
    mix: str = "concatenated"
    budget: int | None = None
    strategy: str | Strategy = "margin"
    initial: str | Strategy = "typiclust"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        if self.policy == NO_BUFFER and self.method_name == "replay":
            raise UsageError("policy 'none' keeps nothing to replay: use method 'naive'.")
        # Each is refused if it is unknown or does not fit.
        _ = self.built_method, self.built_policy, self.size, self.built_strategy
        if self.mix not in MIXES:
            raise UnknownNameError("mix", str(self.mix), MIXES)
        if self.built_initial.needs_labels and self.budget is not None:
            raise UsageError(
                f"{self.built_initial.name} needs labels and cannot choose the first ones: give "
                "another initial strategy, such as typiclust."
            )

    @cached_property
    def built_head(self) -> Any:
        """An unfitted head whose randomness follows from the seed."""
        return run_head(self.head, self.seed)

    @property
    def method_name(self) -> str:
        """The method that is used: the one that was given, or the one that fits the head."""
        exact = getattr(self.built_head, "exact_on_streams", False)
        return self.method or ("naive" if exact or self.policy == NO_BUFFER else "replay")

    @property
    def built_method(self) -> Method:
        """The method, as an object."""
        return get_method(self.method_name, self.built_head)

    @cached_property
    def built_policy(self) -> Policy:
        """The policy, as an object; without effect where there is no buffer."""
        if isinstance(self.policy, Policy):
            return self.policy
        return get_policy("random" if self.policy == NO_BUFFER else self.policy)

    @property
    def size(self) -> Size:
        """Size of the buffer, as an object."""
        return size_of(self.retain)

    @cached_property
    def built_strategy(self) -> Strategy:
        """The strategy, as an object."""
        return get_strategy(self.strategy) if isinstance(self.strategy, str) else self.strategy

    @cached_property
    def built_initial(self) -> Strategy:
        """The initial strategy, as an object."""
        return get_strategy(self.initial) if isinstance(self.initial, str) else self.initial

    def check_fits(self, counts: Mapping[str, int]) -> None:
        """Refuse a budget or a buffer that is too large for a stream.

        Parameters
        ----------
        counts
            The rows to learn from in each experience, by its name.

        Raises
        ------
        UsageError
            With what is possible.
        """
        least = min(counts, key=lambda name: counts[name])
        if self.budget is not None and not 1 <= self.budget <= counts[least]:
            raise UsageError(
                f"the budget is {self.budget} labels, and experience {least!r} has "
                f"{counts[least]} rows to label: give 1 to {counts[least]}."
            )
        limit = sum(self.budget or count for count in counts.values())
        if self.built_method.replays and not self.size.fits(limit):
            raise UsageError(
                f"the buffer is to hold {self.size} rows, and the stream has {limit} to learn "
                "from: give fewer, or use method cumulative, which keeps all."
            )

    def config(self, stream: StreamIdentity) -> dict[str, Any]:
        """Return, as plain JSON, everything that the figures on a stream follow from."""
        chosen: dict[str, Any] = {"budget": self.budget}
        if self.budget is not None:
            chosen["strategy"] = identity_of(self.built_strategy)
            chosen["initial"] = identity_of(self.built_initial)
        if self.built_method.replays:
            chosen["policy"] = identity_of(self.built_policy)
            chosen["retain"] = identity_of(self.size)
            chosen["mix"] = self.mix
        return {
            "version": RESULTS_VERSION,
            "stream": stream.name,
            "digest": stream.digest,
            "protocol": stream.protocol,
            "method": self.method_name,
            "head": identity_of(self.built_head),
            "seed": self.seed,
            **chosen,
        }

    def run_id(self, stream: StreamIdentity) -> str:
        """Return the identity of the run on a stream: the same for the same options."""
        what = self.built_policy.name if self.built_method.replays else self.method_name
        config = {"format": FORMAT, **self.config(stream)}
        return run_id_of(f"{stream.name}-{what}-s{self.seed}", config)
