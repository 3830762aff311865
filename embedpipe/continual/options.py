"""The options of a continual-learning loop, and the identity of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from .._loops.fitting import run_head
from .._loops.runs import RESULTS_VERSION, identity_of, run_id_of
from .._seeds import check_seed
from .._specs import format_spec
from ..errors import UnknownNameError, UsageError
from ..strategies import Strategy, get_strategy
from .learner import MIXES
from .memory import Size, size_of
from .method import Method, get_method
from .policy import NO_BUFFER, Policy, get_policy
from .records import FORMAT
from .stream import StreamIdentity

__all__ = ["ContinualOptions"]


@dataclass(frozen=True)
class ContinualOptions:
    """Options of a `ContinualLoop`.

    Attributes
    ----------
    head
        A spec string, or a scikit-learn classifier with ``partial_fit``.
    method
        How the head learns an experience: a spec string or a `Method`. ``"replay"``: continue
        training on the new rows and the rows of the buffer. ``"naive"``: continue without a
        buffer. ``"cumulative"``: a new head from all rows so far. ``"joint"``: one new head from
        all rows at once, the upper baseline. ``"gdumb"``: a new head from the buffer. ``"ewc"``,
        ``"si"``, ``"lwf"``, ``"der"``, ``"agem"``: methods for the head ``"sgd"``, see `methods`.
        Default: *naive* for heads with exact incremental updates (`exact_on_streams`) or with
        policy ``"none"``, otherwise *replay*.
    policy
        The replay policy, which chooses the rows of the buffer: a spec string or a `Policy`.
        ``"none"``: no buffer.
    retain
        Size of the buffer: a share of each experience (a float, such as 0.05), or a total number of
        rows (an int).
    mix
        With *replay*, ``"concatenated"``: every row has the same weight. ``"balanced"``: the buffer
        has the same total weight as the new rows; the head ``"sgd"`` adds
        `batch_size` rows of the buffer to each step.
    budget
        Number of labels in each experience; None labels all rows. Unlabelled rows are not used.
    strategy
        The strategy that chooses the rows to label: a spec string or a `Strategy`.
    initial
        The strategy for the first experience, and with ``"joint"`` for all experiences; it must not
        need labels.
    seed
        Seed of all random numbers, and of a head without its own ``seed`` or ``random_state``.

    Raises
    ------
    UsageError
        If an option is invalid, or the head does not support the method.

    Examples
    --------
    >>> options = ContinualOptions(policy="el2n", retain=0.1)
    >>> options.run_id(StreamIdentity("clear10", "0" * 64)).rpartition("-")[0]
    'clear10-el2n-s0'
    """

    _: KW_ONLY
    head: Any = "logistic"
    method: str | Method | None = None
    policy: str | Policy = "random"
    retain: float | int | Size = 0.05
    mix: str = "concatenated"
    budget: int | None = None
    strategy: str | Strategy = "margin"
    initial: str | Strategy = "typiclust"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        # Building the objects raises an error if an option is invalid.
        _ = self.built_method, self.built_policy, self.size, self.built_strategy
        self._check_buffer()
        if self.mix not in MIXES:
            raise UnknownNameError("mix", str(self.mix), MIXES)
        if self.built_initial.needs_labels and self.budget is not None:
            raise UsageError(
                f"initial strategy {self.built_initial.name!r} needs labels, and there are none: "
                "use a strategy that needs no labels, such as typiclust."
            )

    @cached_property
    def built_head(self) -> Any:
        """The unfitted head, with the seed."""
        return run_head(self.head, self.seed)

    @property
    def method_name(self) -> str:
        """The spec string of the method."""
        return format_spec(self.built_method)

    @cached_property
    def built_method(self) -> Method:
        """The given method, or the default method of the head, as an object."""
        exact = getattr(self.built_head, "exact_on_streams", False)
        given = self.method or ("naive" if exact or self.policy == NO_BUFFER else "replay")
        method = given if isinstance(given, Method) else get_method(given)
        method.check_head(self.built_head)
        return method

    @cached_property
    def built_policy(self) -> Policy:
        """The policy, as an object; not used without a buffer."""
        if isinstance(self.policy, Policy):
            return self.policy
        return get_policy("random" if self.policy == NO_BUFFER else self.policy)

    @property
    def size(self) -> Size:
        """The size of the buffer, as an object."""
        return size_of(self.retain)

    @cached_property
    def built_strategy(self) -> Strategy:
        """The strategy, as an object."""
        return get_strategy(self.strategy) if isinstance(self.strategy, str) else self.strategy

    @cached_property
    def built_initial(self) -> Strategy:
        """The initial strategy, as an object."""
        return get_strategy(self.initial) if isinstance(self.initial, str) else self.initial

    def _check_buffer(self) -> None:
        """Refuse a policy that the method cannot use."""
        method = self.built_method
        if not method.replays:
            return
        if self.policy == NO_BUFFER:
            raise UsageError(
                f"method {method.name!r} needs a buffer, and policy 'none' has none: use method "
                "'naive', or a policy such as random."
            )
        if method.fills_first and self.built_policy.needs_probabilities:
            raise UsageError(
                f"method {method.name!r} fills the buffer before the head learns the new rows, so "
                f"policy {self.built_policy.name!r} has no predictions: use a policy such as "
                "class_balanced."
            )

    def check_fits(self, counts: Mapping[str, int]) -> None:
        """Refuse a budget or buffer that is too large; `counts` are training rows by experience."""
        least = min(counts, key=lambda name: counts[name])
        if self.budget is not None and not 1 <= self.budget <= counts[least]:
            raise UsageError(
                f"the budget is {self.budget} labels, but experience {least!r} has "
                f"{counts[least]} rows to label: give 1 to {counts[least]}."
            )
        limit = sum(self.budget or count for count in counts.values())
        if self.built_method.replays and not self.size.fits(limit):
            raise UsageError(
                f"the buffer has {self.size} rows, but the stream has only {limit} training rows: "
                "give fewer rows, or use method cumulative, which keeps all rows."
            )

    def config(self, stream: StreamIdentity) -> dict[str, Any]:
        """Return the configuration that determines the results on a stream, as plain JSON."""
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
        """Return the identity of the run on a stream, the same for the same options."""
        method = self.built_method
        plain = method.name == "replay"
        policy = self.built_policy.name if plain else method.name
        config = {"format": FORMAT, **self.config(stream)}
        return run_id_of(f"{stream.name}-{policy}-s{self.seed}", config)
