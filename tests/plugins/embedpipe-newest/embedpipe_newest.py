"""A strategy: the last items of the dataset."""

import numpy as np

from embedpipe.strategies import Selection, Strategy


class Newest(Strategy):
    """The last items of the dataset, whatever they show."""

    name = "newest"

    def choose(self, pool, n, rng):
        rows = pool.unlabelled[::-1][:n]  # (n,)
        return Selection(rows, np.arange(n, 0, -1, dtype=np.float32))
