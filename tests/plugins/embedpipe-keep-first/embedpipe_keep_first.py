"""A replay policy: the rows of each experience with the lowest numbers."""

import numpy as np

from embedpipe.continual import Ranked


class KeepFirst(Ranked):
    """The rows of each experience that are first in the dataset."""

    name = "keep_first"

    def rank(self, batch, n, rng):
        return np.argsort(batch.rows)[:n]
