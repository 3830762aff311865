"""Replay policies that rank the rows of an experience by how hard they are for the head."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_share
from ..errors import UnknownNameError, UsageError
from .memory import ExperienceBatch, rounded_share
from .policy import Ranked, policies

__all__ = ["EL2N", "TAKES", "Entropy", "Margin", "Scored"]

TAKES = ("hardest", "easiest", "median")
"""Values of `take`: which rows are kept first."""

Float64 = NDArray[np.float64]


class Scored(Ranked):
    """A policy that ranks by hardness; a subclass has a `name` and the method `hardness`.

    Parameters
    ----------
    take
        Which rows are kept first: ``"hardest"``, ``"easiest"``, or ``"median"`` (the rows nearest
        to the median rank). Of equally hard rows, the lowest row is first.
    offset
        Share of the rows that are ranked last although they are the hardest, because hardest rows
        may be mislabelled. Only with ``"hardest"``.
    """

    needs_probabilities: ClassVar[bool] = True

    def __init__(self, *, take: str = "hardest", offset: float = 0.0) -> None:
        if take not in TAKES:
            raise UnknownNameError("take", str(take), TAKES)
        if check_share("offset", offset, zero=True) and take != "hardest":
            raise UsageError(
                f"offset is {offset!r} with take={take}: use offset only with take=hardest."
            )
        self.take, self.offset = take, float(offset)

    @abstractmethod
    def hardness(self, probabilities: Float64, codes: NDArray[np.int64]) -> Float64:
        """Return the (b,) hardness of rows with (b, K) probabilities and (b,) true classes."""

    def rank(self, batch: ExperienceBatch, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Order the rows by hardness."""
        hardness = self.hardness(_checked(batch, self.name), batch.codes)  # (b,)
        if self.take == "easiest":
            return np.lexsort((batch.rows, hardness))[:n]
        order = np.lexsort((batch.rows, -hardness))  # (b,), the hardest first
        if self.take == "median":
            away = np.abs(2 * np.arange(order.size) - (order.size - 1))  # (b,)
            return order[np.lexsort((batch.rows[order], away))[:n]]
        passed = rounded_share(self.offset, order.size)
        return np.concatenate([order[passed:], order[:passed][::-1]])[:n]


@policies.register("el2n")
class EL2N(Scored):
    """The rows whose predicted probabilities differ most from their label.

    The hardness of a row is the norm |p − y|, from 0 to √2. p are the probabilities, and y is 1 for
    the class of the row and 0 for other classes. See `Scored` for the options.

    Notes
    -----
    The paper uses the mean of several networks early in training; this policy uses one head after
    the experience.

    References
    ----------
    Paul, Ganguli, Dziugaite (2021), "Deep learning on a data diet: finding important examples
    early in training", arXiv:2107.07075.
    """

    name: ClassVar[str] = "el2n"

    def hardness(self, probabilities: Float64, codes: NDArray[np.int64]) -> Float64:
        """Return the norms of the errors."""
        error = probabilities.copy()  # (b, K)
        error[np.arange(codes.size), codes] -= 1
        return np.asarray(np.sqrt(np.square(error).sum(axis=1)))


@policies.register("entropy")
class Entropy(Scored):
    """The rows with the most uncertain predictions, for any label.

    The hardness is Shannon's entropy −Σ p·log p of the probabilities in nats, from 0 to log K for K
    classes. See `Scored` for the options.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication".
    """

    name: ClassVar[str] = "entropy"

    def hardness(self, probabilities: Float64, codes: NDArray[np.int64]) -> Float64:
        """Return the entropies."""
        logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
        return np.asarray(0.0 - (probabilities * logs).sum(axis=1))


@policies.register("margin")
class Margin(Scored):
    """The rows with the smallest margin between their class and the best other class.

    The margin is log p of the class of a row minus the largest log p of another class, negative
    for a wrong prediction. The hardness is minus the margin, and infinite if p of the class is 0.
    See `Scored` for the options.

    References
    ----------
    Koltchinskii, Panchenko (2002), "Empirical margin distributions and bounding the
    generalization error of combined classifiers".
    """

    name: ClassVar[str] = "margin"

    def hardness(self, probabilities: Float64, codes: NDArray[np.int64]) -> Float64:
        """Return minus the margins."""
        at = np.arange(codes.size)
        own = probabilities[at, codes]  # (b,)
        others = probabilities.copy()  # (b, K)
        others[at, codes] = 0
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 is −∞; ∞ − ∞ is not used
            margins = np.log(own) - np.log(others.max(axis=1))
        return np.where(own > 0, -margins, np.inf) + 0.0


def _checked(batch: ExperienceBatch, name: str) -> Float64:
    """Return the probabilities of `batch`: (b, K) float64."""
    predicted: Any = batch.probabilities()
    probabilities = np.asarray(predicted, dtype=np.float64)
    least = int(batch.codes.max()) + 1
    if (
        probabilities.ndim != 2
        or len(probabilities) != batch.rows.size
        or probabilities.shape[1] < least
    ):
        raise UsageError(
            f"policy {name!r} received probabilities of shape {probabilities.shape}: give "
            f"{batch.rows.size} rows and at least {least} columns."
        )
    wrong = ~(np.isfinite(probabilities) & (probabilities >= 0)).all(axis=1)  # (b,)
    if wrong.any():
        raise UsageError(
            f"policy {name!r} received probabilities for row {int(batch.rows[wrong][0])} that are "
            "not finite or below 0: check the head."
        )
    return probabilities
