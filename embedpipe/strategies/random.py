"""Uniformly random selection, the lower baseline."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .pool import Pool
from .strategy import Selection, Strategy, strategies

__all__ = ["Random"]


@strategies.register("random")
class Random(Strategy):
    """Uniformly random items.

    All scores are 1.

    Examples
    --------
    >>> import numpy as np
    >>> pool = Pool(np.zeros((100, 4), dtype=np.float32))
    >>> first = Random().select(pool, 3, np.random.default_rng(0))
    >>> again = Random().select(pool, 3, np.random.default_rng(0))
    >>> first.rows.tolist() == again.rows.tolist()
    True
    """

    name: ClassVar[str] = "random"
    needs_labels: ClassVar[bool] = False

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Draw `n` rows without replacement, in random order."""
        rows = rng.choice(pool.unlabelled, size=n, replace=False)  # (n,)
        return Selection(rows, np.ones(n, dtype=np.float32))
