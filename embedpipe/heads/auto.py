"""A head that chooses between labels only, and labels with unlabelled rows."""

from __future__ import annotations

from typing import ClassVar, Self

from numpy.typing import ArrayLike

from ._propagation import N_AXES, HeldOutLogits, Propagation, UnlabelledRows
from .logistic import LogisticHead

HIGH, LOW = 1.0, 0.3
"""Weights of the unlabelled rows."""

MARGIN = 5
"""Number of held-out labels by which `LogisticHead` must be better to replace the low weight.

Held-out labels that a strategy chose are difficult, and few of them decide.
"""


class AutoHead(LogisticHead):
    """Logistic regression that uses unlabelled rows where held-out labels show that this helps.

    The head is `LabelPropagationHead` with weight 1 if it predicts at least as many held-out labels
    as `LogisticHead`. Otherwise the weight is 0.3. With this weight too, if `LogisticHead` predicts
    at least 6 more held-out labels, the head is `LogisticHead`. Without unlabelled rows it is
    `LogisticHead` as well.

    Parameters
    ----------
    C, normalize, class_weight, warm_start, max_iter, tol
        See `LogisticHead`.

    Attributes
    ----------
    uses_unlabelled, reuses_unlabelled
        True: `fit` accepts `unlabelled`, which can be `UnlabelledRows`.
    choice_
        What the head learned from, and why, as text.
    strength_
        Weight of the unlabelled rows: 0, 0.3 or 1.
    n_unlabelled_
        Number of unlabelled rows used.
    coef_, intercept_, C_, C_rule_, loss_, n_iter_, converged_
        See `LogisticHead`. `coef_` and `intercept_` include the unlabelled rows, and the other
        attributes are those of the logistic regression.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From cross-validation; see `Head`.

    Notes
    -----
    `partial_fit` learns from labels only.

    With the principal axes at hand, a fit takes at most twice the time of `LogisticHead` for
    hundreds of labels. `UnlabelledRows` contains the principal axes and states its memory.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> left, right = rng.normal(-2, 1, size=(60, 2)), rng.normal(2, 1, size=(60, 2))
    >>> X, y = np.r_[left[:5], right[:5]], ["left"] * 5 + ["right"] * 5
    >>> head = AutoHead(normalize=False).fit(X, y, unlabelled=np.r_[left, right])
    >>> head.choice_
    'learned from the unlabelled images too: 10 of 10 held-out labels right, 10 without them'
    """

    uses_unlabelled: ClassVar[bool] = True
    reuses_unlabelled: ClassVar[bool] = True

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: ArrayLike | UnlabelledRows | None = None,
    ) -> Self:
        """Fit to (n, d) labelled and (N, d) unlabelled rows; see `SimpleHead.fit`."""
        labelled, models = self._fit_with_models(
            X, y, sample_weight, keep_models=unlabelled is not None
        )
        pool = None if unlabelled is None else UnlabelledRows.of(unlabelled, self.n_features_in_)
        self._only_labels("there are no unlabelled images")
        if pool is None or len(self.classes_) < 2:
            return self
        self.n_unlabelled_ = len(pool)
        propagation = Propagation(self, labelled, models, pool, N_AXES)
        tried = [propagation.held_out(0.0), propagation.held_out(HIGH)]
        if tried[1].right < tried[0].right:
            tried.append(propagation.held_out(LOW))
        best = choose(*tried)
        self.strength_, self.choice_ = best.strength, _reason(best, tried)
        if best.strength:
            self._combine(propagation, best)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from labels only; see `LogisticHead.partial_fit`."""
        super().partial_fit(X, y, classes, sample_weight)
        self._only_labels("`partial_fit` uses no unlabelled images")
        return self

    def _only_labels(self, reason: str) -> None:
        self.strength_, self.n_unlabelled_ = 0.0, 0
        self.choice_ = f"learned from the labels only: {reason}"

    def _combine(self, propagation: Propagation, held_out: HeldOutLogits) -> None:
        """Add the normal distributions to the logits."""
        self.coef_, self.intercept_ = propagation.combined(held_out.strength)
        self.temperature_ = held_out.temperature()
        found = held_out.logits if len(held_out.codes) else None
        self._evaluate(found, held_out.codes, held_out.weights)


def choose(
    alone: HeldOutLogits, high: HeldOutLogits, low: HeldOutLogits | None = None
) -> HeldOutLogits:
    """Return the predictions of the chosen weight; `low` is needed if `high` is worse."""
    if low is None or high.right >= alone.right:
        return high
    return alone if alone.right > low.right + MARGIN else low


def _reason(best: HeldOutLogits, tried: list[HeldOutLogits]) -> str:
    """Return what the head learned from, and why."""
    n, alone = len(best.codes), tried[0]
    if not n:
        return "learned from the unlabelled images too: no label can be held out to compare"
    if best is alone:
        return (
            f"learned from the labels only: {best.right:,} of {n:,} held-out labels right, "
            f"{max(each.right for each in tried[1:]):,} with the unlabelled images"
        )
    part = "" if best.strength == HIGH else ", with a low weight"
    return (
        f"learned from the unlabelled images too{part}: {best.right:,} of {n:,} held-out labels "
        f"right, {alone.right:,} without them"
    )
