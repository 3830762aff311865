"""Objectives that are fixed when a selection starts, and thresholds on them."""

from __future__ import annotations

import difflib
import operator as operators
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._specs import OPERATORS, Comparison, Term, check_above, check_count
from ..._threads import map_blocks
from ...errors import SelectionError, UsageError
from ...index import check_metric, vectors_of
from ...index.distances import Frame, safe_frame, squared_distances
from ...index.vectors import Vectors, row_blocks, take_wide
from ..algorithms.coverage import KernelCoverage, References, spread_of
from ..algorithms.predictions import UNCERTAINTIES, uncertainty_of
from ..pool import Pool
from ..strategy import METRIC
from .objective import Float64s, Objective, StaticObjective, objectives

__all__ = [
    "EntropyObjective",
    "LeastConfidenceObjective",
    "MarginObjective",
    "Metadata",
    "Similarity",
    "TargetSimilarity",
    "Threshold",
    "Typicality",
]

ROWS = 512
"""Items per block."""

EXAMPLES = 1024
"""Examples per block."""


@dataclass(frozen=True)
class UncertainObjective(StaticObjective):
    """The uncertainty with the name of the objective, from 0 (certain) to 1."""

    needs_labels: ClassVar[bool] = True

    def measure(self, pool: Pool) -> Float64s:
        """Return the uncertainty of each unlabelled row: (u,), in [0, 1]."""
        return uncertainty_of(pool, UNCERTAINTIES[self.name])  # (u,)


@objectives.register("margin")
@dataclass(frozen=True)
class MarginObjective(UncertainObjective):
    """Uncertainty: the two most likely classes have close probabilities.

    Examples
    --------
    >>> MarginObjective(strength=2).label
    'margin'
    """

    name: ClassVar[str] = "margin"


@objectives.register("least_confidence")
@dataclass(frozen=True)
class LeastConfidenceObjective(UncertainObjective):
    """Uncertainty: the most likely class has a low probability."""

    name: ClassVar[str] = "least_confidence"


@objectives.register("entropy")
@dataclass(frozen=True)
class EntropyObjective(UncertainObjective):
    """Uncertainty: the probabilities are spread over many classes."""

    name: ClassVar[str] = "entropy"


@objectives.register("typicality")
@dataclass(frozen=True)
class Typicality(StaticObjective):
    """Small mean distance to the nearest neighbours.

    Typicality is 1 / the mean distance to the nearest other unique vectors. The value is the
    typicality divided by the largest typicality of the unlabelled items, so it is in (0, 1].

    Parameters
    ----------
    neighbours
        Maximum number of neighbours.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
    strength
        Exponent of the value.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [1], [3]], dtype=np.float32))
    >>> Typicality(neighbours=1, metric="euclidean").measure(pool).tolist()
    [1.0, 1.0, 0.5]
    """

    name: ClassVar[str] = "typicality"

    neighbours: int = 20
    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("neighbours", self.neighbours)
        check_metric(self.metric)

    def measure(self, pool: Pool) -> Float64s:
        """Return the typicality of each unlabelled row: (u,), in (0, 1]."""
        index = pool.measured_by(self.metric).index
        away = np.zeros(index.rows.size)  # (p,)
        if index.rows.size > 1:
            away = index.neighbours(self.neighbours).distances.mean(axis=1, dtype=np.float64)
        away = away[index.find(pool.unlabelled)]  # (u,)
        apart = away[away > 0]
        nearest = apart.min() if apart.size else 1.0
        return np.minimum(1.0, nearest / np.maximum(away, nearest))  # (u,)


@objectives.register("metadata")
@dataclass(frozen=True)
class Metadata(StaticObjective):
    """A large number in a metadata column, such as sharpness.

    Parameters
    ----------
    column
        Name of the column in the `metadata` of the pool. The values of an objective must be at
        least 0, and are divided by the maximum over the unlabelled items. A threshold compares the
        unchanged values.
    strength
        Exponent of the value.

    Examples
    --------
    >>> pool = Pool(np.zeros((3, 1)), metadata={"sharpness": [1, 4, 2]})
    >>> Metadata("sharpness").factors(pool).tolist()
    [0.25, 1.0, 0.5]
    """

    name: ClassVar[str] = "metadata"

    column: str

    def term(self) -> Term:
        """Return the term with the column in brackets."""
        strength = None if self.strength == 1 else float(self.strength)
        return Term(self.name, (self.column,), strength=strength)

    def measure(self, pool: Pool) -> Float64s:
        """Return the numbers of the unlabelled rows: (u,).

        Raises
        ------
        SelectionError
            If the pool does not have the column, or a number is NaN or infinity.
        """
        if self.column not in pool.metadata:
            raise SelectionError(self._missing(pool))
        values: Float64s = np.asarray(pool.metadata[self.column])[pool.unlabelled]  # (u,)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise SelectionError(
                f"metadata {self.column!r} of row {pool.unlabelled[bad[0]]} is "
                f"{values[bad[0]]:g}: give every unlabelled row a number."
            )
        return values

    def factors(self, pool: Pool) -> Float64s:
        """Return the numbers divided by their maximum: (u,), in [0, 1]."""
        values = self.measure(pool)  # (u,)
        bad = np.flatnonzero(values < 0)
        if bad.size:
            raise SelectionError(
                f"metadata {self.column!r} of row {pool.unlabelled[bad[0]]} is "
                f"{values[bad[0]]:g}: as an objective it must not be negative. Shift the values, "
                "or use a threshold."
            )
        largest = values.max(initial=0)
        return values / largest if largest else values

    def _missing(self, pool: Pool) -> str:
        names = sorted(pool.metadata)
        near = difflib.get_close_matches(self.column, names, n=1)
        suggestion = f" Did you mean {near[0]!r}?" if near else ""
        has = f"The pool has: {', '.join(names)}." if names else "Give the pool `metadata`."
        return f"the pool has no metadata {self.column!r}.{suggestion} {has}"


@objectives.register("similarity")
@dataclass(frozen=True)
class Similarity(StaticObjective):
    """Similarity to the nearest example of the pool or to a text, to find items of a rare kind.

    Let d be the distance of an item to the nearest example, and m the median of d over the
    unlabelled items. The value is exp(−(d/m)²/2): 1 for an example, 0.61 for the median item.

    All images are far from a text. So for a text, the least distance of the unlabelled items is
    subtracted from d and m: 1 for the nearest item, 0.61 for the median item.

    Parameters
    ----------
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
    text
        Words to compare the items with, instead of the examples. The pool has their vector.
    strength
        Exponent of the value.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [2], [9]], dtype=np.float32), examples=[[0.0]])
    >>> Similarity(metric="euclidean").measure(pool).round(2).tolist()
    [1.0, 0.61, 0.0]
    >>> pool = Pool(np.array([[1, 3], [1, 2], [3, 1]], dtype=np.float32), texts={"hat": [0, 1]})
    >>> Similarity(text="hat").measure(pool).round(2).tolist()
    [1.0, 0.61, 0.0]
    """

    name: ClassVar[str] = "similarity"

    metric: str = METRIC
    text: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metric(self.metric)
        if self.text is not None and not (isinstance(self.text, str) and self.text.strip()):
            raise UsageError(
                f"the text of similarity is {self.text!r}: give at least one word in quotes, as in "
                "similarity(text='red hat')."
            )

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, if there is one."""
        return () if self.text is None else (self.text,)

    def measure(self, pool: Pool) -> Float64s:
        """Return the similarity of each unlabelled row to the query: (u,), in [0, 1].

        Raises
        ------
        SelectionError
            If the pool has no examples or no vector of the text, or one contains NaN or infinity.
        """
        queries = self._queries(pool)
        vectors = pool.measured_by(self.metric).vectors
        away = _distances(vectors, pool.unlabelled, vectors_of(queries, self.metric))  # (u,)
        if self.text is not None:
            away -= away.min(initial=np.inf)
        middle = float(np.median(away))
        if not middle:
            return np.asarray(away == 0, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(-np.square(away / middle) / 2))  # (u,)

    def _queries(self, pool: Pool) -> NDArray[np.float32]:
        """Return the (e, d) vectors of the examples or of the text."""
        if self.text is not None:
            queries, kind = pool.texts.get(self.text), "the text"
            if queries is None:
                raise SelectionError(
                    f"similarity needs the vector of the text {self.text!r}: give the pool `texts`."
                )
        else:
            queries, kind = pool.examples, "example"
            if queries is None:
                raise SelectionError(
                    "similarity needs examples: give the pool `examples`, with one vector per "
                    "example."
                )
        bad = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if bad.size:
            which = repr(self.text) if self.text is not None else str(bad[0])
            raise SelectionError(
                f"{kind} {which} holds NaN or infinity: embed it again or leave it out."
            )
        return queries


def _distances(vectors: Vectors, rows: NDArray[np.int64], examples: Vectors) -> Float64s:
    """Return the (u,) distance of each row to the example that is nearest in float32 arithmetic."""
    squared = np.full(rows.size, np.inf)
    every = np.arange(len(examples))
    frame = _common_frame(vectors, rows, examples)
    for some in row_blocks(len(examples), EXAMPLES):
        shifted = replace(frame, matrix=examples).rows(every[some])  # (e, d)

        def work(
            part: slice,
            some: slice = some,
            shifted_vectors: NDArray[np.float32] = shifted.vectors,
            norms: Float64s = shifted.norms,
        ) -> None:
            gaps = frame.rows(rows[part]).vectors @ (-2 * shifted_vectors.T)  # (b, e)
            gaps += norms.astype(np.float32)
            nearest = take_wide(examples, every[some][gaps.argmin(axis=1)])  # (b, d)
            away = squared_distances(take_wide(vectors, rows[part]), nearest)  # (b,)
            np.minimum(squared[part], away, out=squared[part])

        map_blocks(work, rows.size, ROWS)
    return np.asarray(np.sqrt(squared))


def _common_frame(vectors: Vectors, rows: NDArray[np.int64], examples: Vectors) -> Frame:
    """Return a frame in which neither rows nor examples overflow."""
    frame, _ = safe_frame(vectors, rows)
    every = np.arange(len(examples))
    while replace(frame, matrix=examples).rows(every).norms.max() >= frame.overflow:
        frame = frame.coarser()
    return frame


@objectives.register("target_similarity")
@dataclass(frozen=True)
class TargetSimilarity(StaticObjective):
    """Similarity to many items of the target, to weight other objectives by its density.

    An item at distance d from an item of the target has the similarity exp(−(d² − a²)/w²) to it,
    with a the distance of the latter to the nearest item of the pool. The value is the mean
    similarity to the target, divided by the largest mean of the unlabelled items.

    Parameters
    ----------
    width
        Kernel width w, as a multiple of the root mean square distance of the items of the pool to
        their mean.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
    strength
        Exponent of the value.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [2], [4]], dtype=np.float32), target=[[0.0], [1.0]])
    >>> TargetSimilarity(metric="euclidean").measure(pool).round(2).tolist()
    [1.0, 0.61, 0.03]
    """

    name: ClassVar[str] = "target_similarity"

    width: float = 1.0
    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above("width", self.width)
        check_metric(self.metric)

    def measure(self, pool: Pool) -> Float64s:
        """Return the similarity of each unlabelled row to the target: (u,), in [0, 1].

        Raises
        ------
        SelectionError
            If the pool has no target.
        """
        if pool.target is None:
            raise SelectionError("target_similarity needs a target: give the pool a `target`.")
        measured = pool.measured_by(self.metric)
        references, index = References.of(measured), measured.index
        density = KernelCoverage(
            index.sketch,
            self.width * spread_of(index.sketch),
            references.sketch,
            references.items,
            np.empty(0, dtype=np.int64),
            references.apart,
        )
        every = density.gains(np.arange(index.rows.size))  # (p,)
        own = every[index.find(pool.unlabelled)]  # (u,)
        return own / (own.max(initial=0) or 1.0)


COMPARE: dict[str, Callable[[Any, float], NDArray[np.bool_]]] = {
    ">=": operators.ge,
    "<=": operators.le,
    ">": operators.gt,
    "<": operators.lt,
}


@objectives.register("threshold")
@dataclass(frozen=True)
class Threshold(Objective):
    """Only items above or below a value: ``threshold(margin >= 0.2)``.

    Parameters
    ----------
    measure
        A static objective, or the name of a metadata column; ``metadata(margin)`` is the column
        of that name, not the objective.
    operator
        ``">="``, ``"<="``, ``">"`` or ``"<"``.
    value
        The limit, in the unit of the measure. The values of objectives are from 0 to 1.
    strength
        Must be 1.

    Examples
    --------
    >>> pool = Pool(np.zeros((3, 1)), metadata={"sharpness": [1, 4, 2]})
    >>> sharp = Threshold("sharpness", ">=", 2)
    >>> sharp.passes(pool).tolist(), sharp.label
    ([False, True, True], 'threshold(metadata(sharpness) >= 2)')
    """

    name: ClassVar[str] = "threshold"

    measure: StaticObjective | str
    operator: str
    value: float

    def __post_init__(self) -> None:
        if self.strength != 1:
            raise UsageError(
                f"a threshold has no strength, but got {self.strength!r}: remove the strength."
            )
        if self.operator not in OPERATORS:
            raise UsageError(
                f"the operator of a threshold is {self.operator!r}: use one of "
                f"{', '.join(OPERATORS)}."
            )
        if not isinstance(self.value, (int, float)) or not np.isfinite(self.value):
            raise UsageError(f"the value of a threshold is {self.value!r}: give a finite number.")
        if not isinstance(self.measure, StaticObjective):
            object.__setattr__(self, "measure", _measure(Term(self.measure)))
        object.__setattr__(self, "needs_labels", self._measure.needs_labels)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the measure."""
        return self._measure.texts

    @property
    def _measure(self) -> StaticObjective:
        assert isinstance(self.measure, StaticObjective)
        return self.measure

    def passes(self, pool: Pool) -> NDArray[np.bool_]:
        """Return which unlabelled rows may be picked: (u,) bool."""
        return COMPARE[self.operator](self._measure.measure(pool), self.value)

    @classmethod
    def from_spec(cls, term: Term) -> Threshold:
        """Make the threshold from a comparison in brackets."""
        match term.arguments:
            case (Comparison(left, sign, right),) if not term.options:
                strength = 1.0 if term.strength is None else term.strength
                measure = _measure(left)
                return cls(measure, sign, right, strength=strength)
        raise UsageError(
            "a threshold needs one comparison with a number, as in threshold(margin >= 0.2) or "
            "threshold(sharpness > 10)."
        )

    def term(self) -> Term:
        """Return the term of the comparison."""
        return Term(self.name, (Comparison(self._measure.term(), self.operator, self.value),))


def _measure(term: Term) -> StaticObjective:
    """Return the static objective with the name of the term, or else the metadata column."""
    if term.name not in objectives and term == Term(term.name):
        return Metadata(term.name)
    found = objectives[term.name].from_spec(term)
    if not isinstance(found, StaticObjective) or found.strength != 1:
        static = [name for name in objectives if issubclass(objectives[name], StaticObjective)]
        raise UsageError(
            f"a threshold cannot use {term.name}: use metadata or, without a strength, one of "
            f"{', '.join(sorted(static))}."
        )
    return found
