"""The base classes of strategies, their results, and the registry."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._html import MAX_ROWS, result_html
from .._registry import Registry
from .._specs import build, format_spec, named_by
from ..errors import SelectionError, UsageError
from .pool import Pool
from .strategy_file import is_strategy_file, read_strategy_file

__all__ = [
    "METRIC",
    "Diagnostic",
    "DiverseStrategy",
    "Selection",
    "Strategy",
    "UniquePicks",
    "get_strategy",
    "strategies",
    "top_k",
]

METRIC = "cosine"
"""Default metric of heads, and of strategies that measure distances."""

Diagnostic: TypeAlias = "NDArray[Any] | float | str"


@dataclass(frozen=True)
class Selection:
    """The rows that a strategy selected, first choice first.

    Attributes
    ----------
    rows
        (n,) int64, distinct rows of the pool's matrix, in order of choice.
    scores
        (n,) float32, the acquisition score of each row when it was chosen; larger is better.
    diagnostics
        More results by name, e.g. ``"radius"`` (n,) float32 for ``coreset``.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    diagnostics: Mapping[str, Diagnostic] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        n = len(self.rows)
        arrays = {
            name: value
            for name, value in self.diagnostics.items()
            if isinstance(value, np.ndarray) and value.shape == (n,)
        }
        facts = [
            (name, value)
            for name, value in self.diagnostics.items()
            if not isinstance(value, np.ndarray)
        ]
        columns: list[NDArray[Any]] = [self.rows, self.scores, *arrays.values()]
        shown = [column[:MAX_ROWS].tolist() for column in columns]
        rows = zip(range(1, n + 1), *shown, strict=False)
        headings = ["rank", "row", "score", *arrays]
        return result_html(f"Selection of {n:,} rows", facts, headings, rows, n_rows=n)


class Strategy(ABC):
    """A rule that selects items to label next.

    To write one, derive a class, set `name` and `needs_labels`, implement `choose`, and register it
    with ``@strategies.register(name)``. Keep the options of the constructor as attributes of the
    same names. A class derived from `DiverseStrategy` avoids duplicates.

    Attributes
    ----------
    name
        The registered name.
    needs_labels
        Whether labelled items are required.
    needs_head
        Whether the head itself is required, not only predicted probabilities.
    distinct
        Whether a batch has no duplicate vectors and no duplicate of a labelled vector, while
        other vectors are left.
    may_stop_early
        Whether fewer rows than requested may be returned, but at least one. The diagnostic
        ``"stopped"`` then gives the reason.
    uses_target
        Whether the selection depends on the `target` of the pool. A strategy that does not use a
        target refuses a pool that has one.
    metric
        ``"cosine"`` or ``"euclidean"``: the metric of the pool passed to `choose`. None: the
        metric of the pool's index.

    Examples
    --------
    >>> import numpy as np
    >>> class Newest(Strategy):
    ...     '''The last rows of the pool.'''
    ...     name, needs_labels = "newest", False
    ...     def choose(self, pool, n, rng):
    ...         rows = pool.unlabelled[::-1][:n]
    ...         return Selection(rows, np.arange(n, 0, -1, dtype=np.float32))
    >>> pool = Pool(np.zeros((4, 2), dtype=np.float32), labelled=[3])
    >>> Newest().select(pool, 2, np.random.default_rng(0)).rows.tolist()
    [2, 1]
    """

    name: ClassVar[str]
    needs_labels: ClassVar[bool] = False
    needs_head: ClassVar[bool] = False
    distinct: ClassVar[bool] = False
    may_stop_early: ClassVar[bool] = False
    uses_target: ClassVar[bool] = False

    metric: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts whose vectors the pool must have."""
        return ()

    def __str__(self) -> str:
        """Return the spec string, or the name of a strategy without one."""
        try:
            return format_spec(self)
        except UsageError:
            return self.name

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Select exactly `n` distinct unlabelled rows of `pool`, or fewer if `may_stop_early`.

        Parameters
        ----------
        pool
            The embeddings, the labelled rows and the head's predictions.
        n
            Number of rows, from 1 to ``pool.unlabelled.size``.
        rng
            The only source of randomness: the same state gives the same rows.

        Raises
        ------
        SelectionError
            If `n` is out of range, a candidate or labelled row or a vector of the target contains
            NaN or infinity, required labels are missing, the pool has a target that the strategy
            does not use, or `choose` returned an invalid result.
        """
        self._check_request(pool, n)
        measured = pool if self.metric is None else pool.measured_by(self.metric)
        selection = self.choose(measured, int(n), rng)
        self._check_answer(pool, int(n), selection)
        return selection

    @abstractmethod
    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Select the rows; `select` checks the request and then calls this method."""

    def _check_request(self, pool: Pool, n: int) -> None:
        _check_count(pool, n)
        if self.needs_labels and not pool.has_labels:
            others = ", ".join(sorted(k for k in strategies if not strategies[k].needs_labels))
            raise SelectionError(
                f"strategy {self.name!r} needs labels. Label some items first, or use a strategy "
                f"that needs no labels: {others}."
            )
        if pool.target is not None:
            self.check_target()
        pool.check_finite()

    def check_target(self) -> None:
        """Raise `SelectionError` unless the strategy uses a target."""
        if not self.uses_target:
            names = ", ".join(sorted(k for k in strategies if strategies[k].uses_target))
            raise SelectionError(
                f"strategy {str(self)!r} does not use a target: use one of {names}, or an "
                "objective for the target, as in combine(margin, target_similarity)."
            )

    def _check_answer(self, pool: Pool, n: int, selection: Selection) -> None:
        rows, scores = selection.rows, selection.scores
        arrays = isinstance(rows, np.ndarray) and isinstance(scores, np.ndarray)
        if not (arrays and rows.dtype.kind in "iu" and scores.dtype.kind in "fiu"):
            raise SelectionError(
                f"strategy {self.name!r} returned rows of type {_type_name(rows)} and scores of "
                f"type {_type_name(scores)}. It must return an integer array of rows and a "
                "numeric array of scores."
            )
        if self.may_stop_early and 0 < rows.size < n and "stopped" in selection.diagnostics:
            n = rows.size
        distinct = np.unique(rows)
        fits = rows.shape == scores.shape == distinct.shape == (n,)
        if not (fits and np.isin(distinct, pool.unlabelled, assume_unique=True).all()):
            raise SelectionError(
                f"strategy {self.name!r} returned {rows.size} rows ({distinct.size} distinct) and "
                f"{scores.size} scores. It must return {n} distinct unlabelled rows and a score "
                "for each."
            )


def _type_name(given: Any) -> str:
    return str(given.dtype) if isinstance(given, np.ndarray) else type(given).__name__


def _check_count(pool: Pool, n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise SelectionError(f"`n` must be a whole number, at least 1; got {n!r}.")
    left = pool.unlabelled.size
    if left == 0:
        raise SelectionError(
            f"the pool of {pool.candidates.size} items has no unlabelled items left to select."
        )
    if n > left:
        raise SelectionError(f"`n` must be at most {left} (the unlabelled items); got {n}.")


@dataclass(frozen=True)
class UniquePicks:
    """The unique vectors that a strategy chose, first choice first.

    Attributes
    ----------
    positions
        (k,) int64, distinct positions in ``pool.index.rows``, none of them labelled.
    scores
        (k,), larger is better.
    diagnostics
        As in `Selection`.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.floating[Any]]
    diagnostics: dict[str, Diagnostic] = field(default_factory=dict)

    @property
    def points(self) -> NDArray[np.int64]:
        """The old name of `positions`."""
        _warn_renamed("UniquePicks.points", "UniquePicks.positions")
        return self.positions


class DiverseStrategy(Strategy):
    """A strategy that selects no duplicate vectors while other vectors are left.

    A subclass implements `choose_unique`, which selects among the unique vectors of the
    candidates. The position of a unique vector is its index in ``pool.index.rows``. If too few
    unlabelled unique vectors are left, the lowest unlabelled rows complete the batch with score 0.
    """

    distinct: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "choose_points" in vars(cls) and "choose_unique" not in vars(cls):
            _warn_renamed(f"{cls.__name__}.choose_points", "choose_unique")
            cls.choose_unique = vars(cls)["choose_points"]  # type: ignore[method-assign]

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Select unique vectors and return their rows."""
        free = int((~pool.unique_labelled).sum())
        picks = UniquePicks(np.empty(0, np.int64), np.empty(0, np.float32))
        if free:
            picks = self.choose_unique(pool, min(n, free), rng)
        rows = pool.index.rows[picks.positions]  # (k,)
        scores = np.asarray(picks.scores, dtype=np.float32)
        short = n - rows.size
        if short:
            left = np.setdiff1d(pool.unlabelled, rows, assume_unique=True)
            rows = np.concatenate([rows, left[:short]])  # (n,)
            scores = np.concatenate([scores, np.zeros(short, np.float32)])  # (n,)
        return Selection(rows, scores, picks.diagnostics)

    @abstractmethod
    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Return `n` (at least 1) positions at which ``pool.unique_labelled`` is False."""


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(f"`{old}` is now `{new}`.", DeprecationWarning, stacklevel=3)


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the positions of the `k` largest scores, largest first; of ties, the lowest first."""
    last = np.partition(scores, scores.size - k)[scores.size - k]  # the k-th largest value
    above = np.flatnonzero(scores > last)
    tied = np.flatnonzero(scores == last)[: k - above.size]  # lowest positions
    chosen = np.sort(np.concatenate([above, tied]))  # (k,), ascending: a stable sort breaks ties
    return chosen[np.argsort(-scores[chosen], kind="stable")].astype(np.int64)


strategies: Registry[type[Strategy]] = named_by(Registry("strategy", "embedpipe.strategies"))
"""All strategies by name; ``@strategies.register("name")`` adds one."""


def get_strategy(name: str, **options: Any) -> Strategy:
    """Make a strategy from its spec string.

    Parameters
    ----------
    name
        A registered name, such as ``"coreset"``; a name with options, such as
        ``"coral(uncertainty=entropy)"``; or the path of a YAML file with the keys ``strategy``,
        ``options`` and, for ``combine``, ``objectives``.
    **options
        More options, e.g. ``block_size=512`` for ``coreset``.

    Raises
    ------
    UnknownNameError
        If no strategy has this name, or the strategy has no such option.
    UsageError
        If the text is not a spec string, or an option has an invalid value.

    Examples
    --------
    >>> get_strategy("coreset").name
    'coreset'
    >>> get_strategy("coral(uncertainty=entropy)").uncertainty
    'entropy'
    """
    spec = read_strategy_file(name, strategies) if is_strategy_file(name) else name
    strategy: Strategy = build(strategies, spec, **options)
    return strategy
