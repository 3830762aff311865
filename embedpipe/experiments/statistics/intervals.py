"""How far the mean over a few seeds may be off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError
from ._checks import checked_sample, checked_share

__all__ = ["Interval", "bootstrap_interval", "mean_interval", "t_interval"]

METHODS = ("bca", "percentile")

Statistic = Callable[..., Any]


@dataclass(frozen=True)
class Interval:
    """An estimate, and the range in which the truth may lie.

    Attributes
    ----------
    estimate
        The statistic of the values; NaN of none.
    low, high
        The bounds; NaN of fewer than two values, which say nothing of how they vary.
    n
        How many values there were.
    level
        How often such an interval is meant to hold the truth.
    coverage
        How often it can at most. A bootstrap interval of a mean never leaves the range of the
        values, and that range holds the mean of a symmetric distribution with probability
        1 - 2^(1 - n): 0.75 for 3 values, 0.9375 for 5. Below `level`, take `t_interval`.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float
    coverage: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean with Student's interval: the one to trust for few seeds.

    Parameters
    ----------
    values
        (S,) one number for each seed, such as areas under the curve; NaN is left out.
    level
        How often such an interval holds the true mean.

    Returns
    -------
    Interval
        ``mean ± t(S - 1) · sd / √S``. Equal values give an interval without width: the seed made
        no difference, and that is all that can be said.

    Raises
    ------
    UsageError
        If `values` is not one-dimensional, or the level not between 0 and 1.

    References
    ----------
    Student (1908), "The probable error of a mean", Biometrika 6.

    Examples
    --------
    >>> print(t_interval([0.70, 0.72, 0.74]))  # 0.72 ± 4.3027 * 0.02 / √3
    0.7200 [0.6703, 0.7697]
    """
    from scipy.special import stdtrit

    sample, level = checked_sample(values), checked_share(level, "level")
    n = len(sample)
    mean = float(np.mean(sample)) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n, level, float("nan"))
    if (sample == sample[0]).all():
        return Interval(float(sample[0]), float(sample[0]), float(sample[0]), n, level, level)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(np.std(sample, ddof=1)) / np.sqrt(n)
    return Interval(mean, float(mean - half), float(mean + half), n, level, level)


ENOUGH = 6
"""Of fewer values no resampling tells how far off their mean may be; see docs/statistics.md."""


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean with a bootstrap interval; with Student's for fewer than six seeds.

    Parameters
    ----------
    values, level
        See `bootstrap_interval`.

    Returns
    -------
    Interval
        That of `t_interval` for up to five values that are no NaN, else of `bootstrap_interval`.

    Raises
    ------
    UsageError
        If `values` is not one-dimensional, or the level not between 0 and 1.

    Examples
    --------
    >>> mean_interval([0.70, 0.72, 0.74]) == t_interval([0.70, 0.72, 0.74])
    True
    >>> values = [0.70, 0.71, 0.72, 0.73, 0.74, 0.78]
    >>> mean_interval(values) == bootstrap_interval(values)
    True
    """
    few = len(checked_sample(values)) < ENOUGH
    return t_interval(values, level) if few else bootstrap_interval(values, level=level)


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = np.mean,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    method: str = "bca",
    widened: bool = True,
) -> Interval:
    """Return a statistic with a bootstrap interval: for medians, differences, skewed values.

    Parameters
    ----------
    values
        (S,) one number for each seed; NaN is left out.
    statistic
        Called as ``statistic(array, axis=-1)``, as ``numpy.mean`` and ``numpy.median``.
    level
        How often such an interval is meant to hold the truth; see `Interval.coverage` for how
        often it can.
    resamples
        How many times S values are drawn with replacement.
    seed
        Of the draws; the same seed gives the same interval to the last bit.
    method
        ``"bca"``: corrected for bias and skewness. ``"percentile"``: the plain quantiles.
    widened
        Whether the quantiles are moved outwards as far as Student's distribution is wider than
        the normal one. Without, bootstrap intervals of few values are too narrow: of 5 normal
        ones at the level 0.95, they held the true mean in 84 % of 2,000 trials; widened in 91 %,
        Student's in 95 %.

    Returns
    -------
    Interval
        Equal values give one without width, fewer than two give NaN bounds.

    Raises
    ------
    UsageError
        If an option has no meaning.

    Notes
    -----
    O(B·S) time and 16·B·S bytes for B resamples.

    References
    ----------
    Efron (1987), "Better bootstrap confidence intervals", JASA 82. Hesterberg (2015), "What
    teachers should know about the bootstrap", The American Statistician 69, arXiv:1411.5279 (the
    widening, there called expanded percentiles).

    Examples
    --------
    >>> found = bootstrap_interval([0.70, 0.72, 0.74, 0.71, 0.75, 0.73, 0.72, 0.74, 0.71, 0.73])
    >>> print(found)
    0.7250 [0.7140, 0.7360]
    """
    sample, level = checked_sample(values), checked_share(level, "level")
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}: use {' or '.join(map(repr, METHODS))}.")
    if resamples < 1:
        raise UsageError(f"resamples is {resamples!r}: give a whole number, at least 1.")
    n = len(sample)
    estimate = float(statistic(sample, axis=-1)) if n else float("nan")
    if n < 2:
        return Interval(estimate, float("nan"), float("nan"), n, level, float("nan"))
    coverage = min(level, 1.0 - 2.0 ** (1 - n))
    if (sample == sample[0]).all():
        return Interval(estimate, estimate, estimate, n, level, coverage)
    draws = np.random.default_rng(seed).integers(0, n, size=(resamples, n))  # (B, S)
    drawn = np.sort(statistic(sample[draws], axis=-1))  # (B,)
    tails = _tails(level, n, widened)  # (2,) normal quantiles
    if method == "bca":
        tails = _moved(tails, sample, drawn, estimate, statistic)
    low, high = _quantiles(drawn, tails)
    return Interval(estimate, low, high, n, level, coverage)


def _tails(level: float, n: int, widened: bool) -> NDArray[np.float64]:
    """Return the normal quantiles of the two ends."""
    from scipy.special import ndtri, stdtrit

    tail = (1 - level) / 2
    end = np.sqrt(n / (n - 1)) * stdtrit(n - 1, tail) if widened else ndtri(tail)
    return np.array([end, -end])


def _moved(
    tails: NDArray[np.float64],
    sample: NDArray[np.float64],
    drawn: NDArray[np.float64],
    estimate: float,
    statistic: Statistic,
) -> NDArray[np.float64]:
    """Correct the two ends for bias and for a spread that changes with the value (Efron)."""
    from scipy.special import ndtri

    # Half of those equal to the estimate: draws of few values often are.
    equal = np.isclose(drawn, estimate, rtol=1e-12, atol=1e-12)
    below = np.mean((drawn < estimate) & ~equal) + np.mean(equal) / 2
    edge = 0.5 / len(drawn)
    bias = float(ndtri(np.clip(below, edge, 1 - edge)))
    n = len(sample)
    rest = np.array([statistic(np.delete(sample, at), axis=-1) for at in range(n)])  # (S,)
    pull = rest.mean() - rest
    squares = float((pull**2).sum())
    acceleration = float((pull**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    shifted = bias + tails
    return np.asarray(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-9))


def _quantiles(drawn: NDArray[np.float64], tails: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.special import ndtr

    low, high = np.quantile(drawn, ndtr(tails))
    return float(low), float(high)
