"""BALD: Bayesian active learning by disagreement."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from ..errors import UsageError
from .algorithms.posterior import mutual_information, predictive_entropy, score_samples
from .pool import Pool
from .strategy import Selection, Strategy, strategies, top_k

__all__ = ["Bald", "PowerBald"]


@strategies.register("bald")
class Bald(Strategy):
    """The items whose label would tell the most about the head's weights.

    Weights are drawn from the head's posterior; the score is the mutual information between an
    item's label and the weights, H(mean of p) − mean of H(p): large where draws are certain of
    different things, small where all of them are unsure alike. Ties go to the lowest row.

    Parameters
    ----------
    samples
        How many draws. The score of an item is at most log(samples).

    Raises
    ------
    UsageError
        If `samples` is not at least 2.
    SelectionError
        When selecting, if the head has no posterior.

    Notes
    -----
    The paper draws by dropout, or by a Gaussian process; what is drawn here is up to the head,
    for `LogisticHead` its weights by the Laplace method. Scores are one by one, so a batch may
    hold items that tell the same: ``power_bald`` and ``logdet_bald`` do something about that.

    `Selection.scores` holds the mutual information in nats. Diagnostics: ``entropy`` (n,)
    float32, the entropy of the mean prediction in nats, of which the score is a part.

    O(u·d·C·S) time; 32 bytes of extra memory per unlabelled item, 4·d·C·S for the draws of a
    `LogisticHead`, and about 20 MB per thread.

    References
    ----------
    Houlsby, Huszár, Ghahramani, Lengyel (2011), "Bayesian active learning for classification and
    preference learning", arXiv:1112.5745. Gal, Islam, Ghahramani (2017), "Deep Bayesian active
    learning with image data", arXiv:1703.02910.

    Examples
    --------
    Labelled items lie to the right and to the left. No label speaks of up and down:

    >>> import numpy as np
    >>> from embedpipe.heads import LogisticHead
    >>> matrix = np.array([[1, 0.1], [-1, 0.1], [1, 0], [0, 3], [0, -4]], dtype=np.float32)
    >>> head = LogisticHead(C=1.0).fit(matrix[:2], ["right", "left"])
    >>> pool = Pool(matrix, labelled=[0, 1], labels=["right", "left"], head=head)
    >>> selection = Bald().select(pool, 3, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(s), 2) for s in selection.scores]
    ([4, 3, 2], [0.13, 0.11, 0.09])
    """

    name: ClassVar[str] = "bald"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, samples: int = 64) -> None:
        self.samples = check_count("samples", samples, 2)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Take the `n` items of the largest mutual information."""
        found = score_samples(pool, _information_and_entropy, self.name, self.samples, rng)
        information, entropy = found.T  # (u,), (u,)
        best = top_k(information, n)  # (n,)
        return Selection(
            pool.unlabelled[best],
            information[best].astype(np.float32),
            {"entropy": entropy[best].astype(np.float32)},
        )


def _information_and_entropy(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mutual information and the entropy of (S, k, C) samples: (k, 2)."""
    return np.column_stack([mutual_information(samples), predictive_entropy(samples)])


@strategies.register("power_bald")
class PowerBald(Strategy):
    """Items drawn at random, the more often the more their label would tell about the head.

    Items are drawn one after the other without putting them back, each time in proportion to
    s^beta, with s the score of ``bald``. Many items that tell the same share the batch with
    others, where the largest scores alone would fill it. Items of score 0 come last, in random
    order.

    Parameters
    ----------
    beta
        How much the score counts: towards 0 the draw is uniform, for large values it is ``bald``.
    samples
        How many draws of the weights.

    Raises
    ------
    UsageError
        If `beta` is not positive, or `samples` not at least 2.
    SelectionError
        When selecting, if the head has no posterior.

    Notes
    -----
    The draw is the top n of beta·log s + noise, with Gumbel noise, as in the paper.

    `Selection.scores` holds s in nats. Diagnostics: ``rank`` (n,) int64, the place of each pick
    by score alone, from 0.

    O(u·d·C·S) time; 56 bytes of extra memory per unlabelled item, 4·d·C·S for the draws of a
    `LogisticHead`, and about 20 MB per thread.

    References
    ----------
    Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal (2021), "Stochastic batch
    acquisition: a simple baseline for deep active learning", arXiv:2106.12059.

    Examples
    --------
    >>> import numpy as np
    >>> from embedpipe.heads import LogisticHead
    >>> matrix = np.array([[1, 0.1], [-1, 0.1], [1, 0], [0, 3], [0, -4]], dtype=np.float32)
    >>> head = LogisticHead(C=1.0).fit(matrix[:2], ["right", "left"])
    >>> pool = Pool(matrix, labelled=[0, 1], labels=["right", "left"], head=head)
    >>> PowerBald(beta=100.0).select(pool, 3, np.random.default_rng(0)).rows.tolist()
    [4, 3, 2]
    """

    name: ClassVar[str] = "power_bald"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, beta: float = 1.0, samples: int = 64) -> None:
        if not _is_positive(beta):
            raise UsageError(f"beta is {beta!r}: give a positive number.")
        self.beta = float(beta)
        self.samples = check_count("samples", samples, 2)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Draw `n` items in proportion to a power of their mutual information."""
        scores = score_samples(pool, mutual_information, self.name, self.samples, rng)  # (u,)
        noise = rng.gumbel(size=scores.size)  # (u,)
        some = np.flatnonzero(scores > 0)
        none = np.flatnonzero(scores == 0)
        keys = self.beta * np.log(scores[some]) + noise[some]
        best = some[top_k(keys, min(n, some.size))] if some.size else some
        rest = n - best.size
        if rest:
            best = np.concatenate([best, none[top_k(noise[none], rest)]])  # (n,)
        ranks = np.empty(scores.size, dtype=np.int64)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(scores.size)
        return Selection(
            pool.unlabelled[best], scores[best].astype(np.float32), {"rank": ranks[best]}
        )


def _is_positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0 < float(value) < math.inf
