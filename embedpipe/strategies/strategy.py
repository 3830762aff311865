"""The base classes of strategies, what they return, and their registry.

To add a strategy, write one file with a subclass of `Strategy` or `DiverseStrategy` under
``@strategies.register("name")``; `random.py` is the shortest.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
"""The metric of every strategy that measures distances, unless it is given another.

It is that of the heads, which scale rows to unit length.
"""

Diagnostic: TypeAlias = "NDArray[Any] | float | str"


@dataclass(frozen=True)
class Selection:
    """The rows that a strategy chose, first choice first.

    Attributes
    ----------
    rows
        (n,) int64, distinct rows of the pool's matrix, in order of choice.
    scores
        (n,) float32, how much each row was worth when it was chosen; larger is better.
    diagnostics
        Named extras of the strategy, e.g. ``"radius"`` (n,) float32 for ``coreset``.

    Examples
    --------
    >>> import numpy as np
    >>> Selection(np.array([4, 1]), np.array([0.5, 0.25], dtype=np.float32)).rows.tolist()
    [4, 1]
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    diagnostics: Mapping[str, Diagnostic] = field(default_factory=dict)


class Strategy(ABC):
    """A rule for choosing which items to label next.

    A strategy is one subclass with `name`, `needs_labels` and the method `choose`, under
    ``@strategies.register(name)``; `DiverseStrategy` takes care of copies. Options are arguments
    of its constructor, kept as attributes of the same names.

    Attributes
    ----------
    name
        The name that it is registered under.
    needs_labels
        Whether it needs labels of some items.
    needs_head
        Whether it needs the head itself, not only predicted probabilities.
    distinct
        Whether a batch has no two copies of one vector, and no copy of a labelled one, as long as
        another vector is left.
    may_stop_early
        Whether it may return fewer rows than asked for, at least one; its diagnostic
        ``"stopped"`` then says why.
    metric
        ``"cosine"`` or ``"euclidean"``: the metric of the ``pool.index``, ``pool.vectors`` and
        ``pool.unique_labelled`` that `choose` is given. None: that of the index of the pool.
        Strategies that measure distances take it as an option.

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

    metric: str | None = None

    def __str__(self) -> str:
        """Return the spec string, or the name of a strategy that has none."""
        try:
            return format_spec(self)
        except UsageError:
            return self.name

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Choose `n` distinct unlabelled rows of `pool`.

        Parameters
        ----------
        pool
            The embeddings, what is labelled, and the head's predictions.
        n
            How many rows, at least 1 and at most ``pool.unlabelled.size``.
        rng
            The only source of randomness: the same generator state gives the same rows.

        Returns
        -------
        Selection
            Exactly `n` rows, unless the strategy `may_stop_early`.

        Raises
        ------
        SelectionError
            If `n` cannot be had, a row that matters holds NaN or infinity, labels are needed
            and missing, or the strategy broke its promise.
        """
        self._check_request(pool, n)
        measured = pool if self.metric is None else pool.measured_by(self.metric)
        selection = self.choose(measured, int(n), rng)
        self._check_answer(pool, int(n), selection)
        return selection

    @abstractmethod
    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Choose the rows; called by `select` once the request has been checked."""

    def _check_request(self, pool: Pool, n: int) -> None:
        _check_count(pool, n)
        if self.needs_labels and not pool.has_labels:
            others = ", ".join(sorted(k for k in strategies if not strategies[k].needs_labels))
            raise SelectionError(
                f"strategy {self.name!r} needs labels: "
                f"give some, or use one that needs none: {others}."
            )
        pool.check_finite()

    def _check_answer(self, pool: Pool, n: int, selection: Selection) -> None:
        rows, scores = selection.rows, selection.scores
        arrays = isinstance(rows, np.ndarray) and isinstance(scores, np.ndarray)
        if not (arrays and rows.dtype.kind in "iu" and scores.dtype.kind in "fiu"):
            raise SelectionError(
                f"strategy {self.name!r} is at fault: it must return an array of whole numbers as "
                f"rows and one of numbers as scores, but returned {_told(rows)} and "
                f"{_told(scores)}."
            )
        if self.may_stop_early and 0 < rows.size < n and "stopped" in selection.diagnostics:
            n = rows.size
        distinct = np.unique(rows)
        fits = rows.shape == scores.shape == distinct.shape == (n,)
        if not (fits and np.isin(distinct, pool.unlabelled, assume_unique=True).all()):
            raise SelectionError(
                f"strategy {self.name!r} is at fault: it must return {n} distinct unlabelled "
                f"rows and a score for each, but returned {rows.size} rows "
                f"({distinct.size} distinct) and {scores.size} scores."
            )


def _told(given: Any) -> str:
    return f"{given.dtype}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"


def _check_count(pool: Pool, n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise SelectionError(f"asked for {n!r} items: ask for a whole number, at least 1.")
    left = pool.unlabelled.size
    if left == 0:
        raise SelectionError(
            f"asked for {n} items, but none of the pool's {pool.candidates.size} is unlabelled: "
            "there is nothing left to select."
        )
    if n > left:
        raise SelectionError(
            f"asked for {n} items, but only {left} of the pool's {pool.candidates.size} "
            f"are unlabelled: ask for at most {left}."
        )


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
    """A strategy that never takes two copies of one vector while another vector is left.

    A subclass implements `choose_unique`, which chooses among the unique vectors of the
    candidates. The position of a unique vector is its index in ``pool.index.rows``. When too few
    unlabelled unique vectors are left, the lowest unlabelled rows fill the batch with score 0.
    """

    distinct: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "choose_points" in vars(cls) and "choose_unique" not in vars(cls):
            _warn_renamed(f"{cls.__name__}.choose_points", "choose_unique")
            cls.choose_unique = vars(cls)["choose_points"]  # type: ignore[method-assign]

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Choose unique vectors, then map them to rows."""
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
        """Return exactly `n` positions where ``pool.unique_labelled`` is False.

        There are at least `n` such positions, and `n` is at least 1.
        """


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(f"`{old}` is now `{new}`.", DeprecationWarning, stacklevel=3)


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the positions of the `k` largest of (m,) scores, best first, lowest on ties."""
    last = np.partition(scores, scores.size - k)[scores.size - k]  # the k-th largest value
    above = np.flatnonzero(scores > last)
    tied = np.flatnonzero(scores == last)[: k - above.size]  # lowest positions
    chosen = np.sort(np.concatenate([above, tied]))  # (k,), ascending: a stable sort breaks ties
    return chosen[np.argsort(-scores[chosen], kind="stable")].astype(np.int64)


strategies: Registry[type[Strategy]] = named_by(Registry("strategy", "embedpipe.strategies"))
"""Every strategy by name; ``@strategies.register("name")`` adds one."""


def get_strategy(name: str, **options: Any) -> Strategy:
    """Make a strategy from its spec string.

    Parameters
    ----------
    name
        A registered name (``list(strategies)`` has them all); a name with options, such as
        ``"coral(uncertainty=entropy)"``; or the path of a ``.yaml`` or ``.yml`` file with the
        keys ``strategy`` and ``options``, for ``combine`` also ``objectives``.
    **options
        More arguments of its constructor, e.g. ``block_size=512`` for ``coreset``.

    Returns
    -------
    Strategy
        A new instance.

    Raises
    ------
    UnknownNameError
        If nothing is registered under `name`, or it has no such option.
    UsageError
        If it cannot be read, or an option has a wrong value.

    Examples
    --------
    >>> get_strategy("coreset").name
    'coreset'
    >>> get_strategy("coral(uncertainty=entropy)").uncertainty
    'entropy'
    """
    spec = read_strategy_file(name, strategies) if is_strategy_file(name) else name
    made: Strategy = build(strategies, spec, **options)
    return made
