"""BALD: items with the largest information about the weights of the head."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._specs import check_above, check_count
from .algorithms.posterior import information_and_entropy, mutual_information, score_samples
from .pool import Pool
from .strategy import Selection, Strategy, strategies, top_k

__all__ = ["Bald", "PowerBald"]


@strategies.register("bald")
class Bald(Strategy):
    """Items whose label has the largest mutual information with the weights of the head.

    Weights are drawn from the head's posterior. The score is the entropy of the mean prediction
    minus the mean entropy of the predictions. It is large where the draws make confident but
    different predictions. Ties go to the lowest row.

    Parameters
    ----------
    samples
        Number of draws, at least 2. A score is at most log(samples).

    Raises
    ------
    SelectionError
        When selecting, if the head has no posterior.

    Notes
    -----
    The draws depend on the head: for `LogisticHead` they use the Laplace approximation; the papers
    use dropout or a Gaussian process. Items are scored one by one, so a batch may contain similar
    items; ``power_bald`` and ``logdet_bald`` avoid this.

    Scores: mutual information in nats. Diagnostics: ``entropy`` (n,) float32, the entropy of the
    mean prediction in nats.

    Time: O(u·d·C·S) for u unlabelled items, vectors of length d, C classes and S draws. Extra
    memory: 32 bytes per unlabelled item, 4·d·C·S bytes for a `LogisticHead`, and about 20 MB per
    thread.

    References
    ----------
    Houlsby, Huszár, Ghahramani, Lengyel (2011), "Bayesian active learning for classification and
    preference learning", arXiv:1112.5745. Gal, Islam, Ghahramani (2017), "Deep Bayesian active
    learning with image data", arXiv:1703.02910.
    """

    name: ClassVar[str] = "bald"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, samples: int = 64) -> None:
        self.samples = check_count("samples", samples, 2)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Take the `n` items with the largest mutual information."""
        found = score_samples(pool, information_and_entropy, self.name, self.samples, rng)
        information, entropy = found.T  # (u,), (u,)
        best = top_k(information, n)  # (n,)
        return Selection(
            pool.unlabelled[best],
            information[best].astype(np.float32),
            {"entropy": entropy[best].astype(np.float32)},
        )


@strategies.register("power_bald")
class PowerBald(Strategy):
    """Items drawn at random with probability proportional to a power of the BALD score.

    Items are drawn without replacement in proportion to s^beta, where s is the score of ``bald``.
    The randomness avoids batches of similar items. Items with score 0 come last, in random order.

    Parameters
    ----------
    beta
        Exponent of the score, above 0: near 0 the draw is uniform, large values approach ``bald``.
    samples
        Number of draws of the weights, at least 2.

    Raises
    ------
    SelectionError
        When selecting, if the head has no posterior.

    Notes
    -----
    As in the paper, the draw takes the n items with the largest beta·log s + Gumbel noise.

    Scores: s in nats. Diagnostics: ``rank`` (n,) int64, the rank of each pick by score, from 0.

    Time: O(u·d·C·S) for u unlabelled items, vectors of length d, C classes and S draws. Extra
    memory: 56 bytes per unlabelled item, 4·d·C·S bytes for a `LogisticHead`, and about 20 MB per
    thread.

    References
    ----------
    Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal (2021), "Stochastic batch
    acquisition: a simple baseline for deep active learning", arXiv:2106.12059.
    """

    name: ClassVar[str] = "power_bald"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, beta: float = 1.0, samples: int = 64) -> None:
        self.beta = float(check_above("beta", beta))
        self.samples = check_count("samples", samples, 2)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Draw `n` items in proportion to a power of their mutual information."""
        scores = score_samples(pool, mutual_information, self.name, self.samples, rng)  # (u,)
        noise = rng.gumbel(size=scores.size)  # (u,)
        positive = np.flatnonzero(scores > 0)
        zero = np.flatnonzero(scores == 0)
        keys = self.beta * np.log(scores[positive]) + noise[positive]
        best = positive[top_k(keys, min(n, positive.size))] if positive.size else positive
        rest = n - best.size
        if rest:
            best = np.concatenate([best, zero[top_k(noise[zero], rest)]])  # (n,)
        ranks = np.empty(scores.size, dtype=np.int64)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(scores.size)
        return Selection(
            pool.unlabelled[best], scores[best].astype(np.float32), {"rank": ranks[best]}
        )
