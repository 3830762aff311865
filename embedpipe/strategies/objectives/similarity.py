"""Near to examples of what is looked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...errors import SelectionError
from ...index import check_metric, vectors_of
from ...index.blocks import Vectors, row_blocks, take_wide
from ...index.frame import Frame, squared_distances
from ...index.moving import safe_frame
from ..parts.metric import METRIC
from ..pool import Pool
from .base import Float64s, StaticObjective, objectives

__all__ = ["Similarity"]

ROWS = 512
"""How many items are compared with the examples at once."""

EXAMPLES = 1024
"""How many examples they are compared with at once."""


@objectives.register("similarity")
@dataclass(frozen=True)
class Similarity(StaticObjective):
    """Near to one of the pool's examples: finds more of a rare kind.

    With d the distance from an item to the nearest example and m the median of d over
    the unlabelled items, the value is exp(−(d/m)²/2): 1 for an example itself, 0.61 for the
    median item. It does not change when all vectors are
    scaled.

    Parameters
    ----------
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.
    strength
        The power that the value is raised to.

    Notes
    -----
    O(u·e·d) time for e examples; extra memory: 8 bytes per item and 4 MB per thread.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [2], [9]], dtype=np.float32), examples=[[0.0]])
    >>> Similarity(metric="euclidean").measure(pool).round(2).tolist()
    [1.0, 0.61, 0.0]
    """

    name: ClassVar[str] = "similarity"

    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metric(self.metric)

    def measure(self, pool: Pool) -> Float64s:
        """Return how near each unlabelled row is to an example: (u,), in [0, 1].

        Raises
        ------
        SelectionError
            If the pool has no examples, or one of them holds NaN or infinity.
        """
        if pool.examples is None:
            raise SelectionError(
                "similarity needs examples of what is looked for: give the pool `examples`, "
                "one vector each."
            )
        bad = np.flatnonzero(~np.isfinite(pool.examples).all(axis=1))
        if bad.size:
            raise SelectionError(
                f"example {bad[0]} holds NaN or infinity: embed it again or leave it out."
            )
        vectors = pool.measured_by(self.metric).vectors
        examples = vectors_of(pool.examples, self.metric)
        away = _distances(vectors, pool.unlabelled, examples)  # (u,)
        middle = float(np.median(away))
        if not middle:
            return np.asarray(away == 0, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(-np.square(away / middle) / 2))  # (u,)


def _distances(vectors: Vectors, rows: NDArray[np.int64], examples: Vectors) -> Float64s:
    """Return the distance from each row to the example that is nearest in float32: (u,)."""
    squared = np.full(rows.size, np.inf)
    every = np.arange(len(examples))
    frame = _common_frame(vectors, rows, examples)
    for some in row_blocks(len(examples), EXAMPLES):
        moved = replace(frame, matrix=examples).rows(every[some])  # (e, d)

        def work(
            part: slice,
            some: slice = some,
            moved_vectors: NDArray[np.float32] = moved.vectors,
            norms: Float64s = moved.norms,
        ) -> None:
            gaps = frame.rows(rows[part]).vectors @ (-2 * moved_vectors.T)  # (b, e)
            gaps += norms.astype(np.float32)
            nearest = take_wide(examples, every[some][gaps.argmin(axis=1)])  # (b, d)
            away = squared_distances(take_wide(vectors, rows[part]), nearest)  # (b,)
            np.minimum(squared[part], away, out=squared[part])

        map_blocks(work, rows.size, ROWS)
    return np.asarray(np.sqrt(squared))


def _common_frame(vectors: Vectors, rows: NDArray[np.int64], examples: Vectors) -> Frame:
    """Return a frame in which nothing overflows."""
    frame, _ = safe_frame(vectors, rows)
    every = np.arange(len(examples))
    while replace(frame, matrix=examples).rows(every).norms.max() >= frame.overflow:
        frame = frame.coarser()
    return frame
