"""A head that chooses between labels only, and labels with unlabelled rows."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from ._label_logits import HeldOutLogits, LabelLogits
from ._labelled import Labelled
from ._propagation import N_AXES, Propagation, UnlabelledRows
from ._zero_shot import ZeroShotPrior, blend
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

    With a `ZeroShotPrior`, zero-shot logits are added to the logits of the logistic regression. Of
    several weights and 0, the weight has the least held-out log-loss plus a penalty. The penalty is
    that of a log-normal prior around 1. The weight is 0 if the names alone predict the labels no
    better than chance, and they decide if no label can be held out. With weight 0, the head is the
    same as without the prior.

    Parameters
    ----------
    C, normalize, class_weight, warm_start, max_iter, tol
        See `LogisticHead`.

    Attributes
    ----------
    uses_unlabelled, reuses_unlabelled
        True: `fit` accepts `unlabelled`, which can be `UnlabelledRows`.
    uses_prior
        True: `fit` accepts `prior`, a `ZeroShotPrior`.
    choice_
        What the head learned from, and why, as text.
    strength_
        Weight of the unlabelled rows: 0, 0.3 or 1.
    n_unlabelled_
        Number of unlabelled rows used.
    prior_weight_
        Weight of the zero-shot logits; 0 without a prior.
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
    uses_prior: ClassVar[bool] = True

    @classmethod
    def from_prior(cls, prior: ZeroShotPrior) -> Self:
        """Return a fitted head that predicts from the names of classes alone, without labels."""
        head = cls()
        head.classes_, head.n_features_in_ = prior.classes, prior.vectors.shape[1]
        head.coef_, head.intercept_ = prior.weights, np.zeros(len(prior.classes))
        head.C_, head.C_rule_, head.loss_ = None, "no labels", 0.0
        head.n_iter_, head.converged_ = 0, True
        head._assess(None)
        head.strength_, head.prior_weight_, head.n_unlabelled_ = 0.0, 1.0, 0
        head.choice_ = "predicts from the names of the classes only: there are no labels"
        return head

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: ArrayLike | UnlabelledRows | None = None,
        prior: ZeroShotPrior | None = None,
    ) -> Self:
        """Fit to (n, d) labelled and (N, d) unlabelled rows; see `SimpleHead.fit`.

        `prior` has the vectors of the names of classes. Its classes can be predicted without a
        label.
        """
        labelled, models = self._fit_with_models(
            X, y, sample_weight, keep_models=unlabelled is not None or prior is not None
        )
        pool = None if unlabelled is None else UnlabelledRows.of(unlabelled, self.n_features_in_)
        self._only_labels("there are no unlabelled images")
        if pool is not None and len(self.classes_) > 1:
            self.n_unlabelled_ = len(pool)
        learned = LabelLogits.of(self, models)
        blended = None if prior is None else blend(learned, labelled, prior)
        if blended is None:
            tried = self._tried(learned, labelled, pool)
        else:
            tried = self._tried(blended.logits, blended.labelled, pool)
            self.classes_, self.prior_weight_ = tried.labelled.classes, blended.weight
        self.choice_ = tried.reason()
        if prior is not None:
            effect = "do not help" if blended is None else f"help (weight {blended.weight:g})"
            self.choice_ += f"; the names of the classes {effect}"
        if blended is not None or tried.best.strength:
            self._combine(tried)
        return self

    def _tried(
        self, logits: LabelLogits, labelled: Labelled, pool: UnlabelledRows | None
    ) -> _Tried:
        """Return the held-out predictions with each weight of the unlabelled rows."""
        if pool is None or len(labelled.classes) < 2:
            return _Tried(logits, labelled, None, (logits.held_out(labelled),))
        propagation = Propagation(logits, labelled, pool, N_AXES, normalize=self.normalize)
        tried = [propagation.held_out(0.0), propagation.held_out(HIGH)]
        if tried[1].right < tried[0].right:
            tried.append(propagation.held_out(LOW))
        return _Tried(logits, labelled, propagation, tuple(tried))

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
        self.strength_, self.prior_weight_, self.n_unlabelled_ = 0.0, 0.0, 0
        self.choice_ = f"learned from the labels only: {reason}"

    def _combine(self, tried: _Tried) -> None:
        """Take over the logits with the chosen weight of the unlabelled rows."""
        held_out = tried.best
        self.strength_ = held_out.strength
        if tried.propagation is not None and held_out.strength:
            self.coef_, self.intercept_ = tried.propagation.combined(held_out.strength)
        else:
            self.coef_, self.intercept_ = tried.logits.weights, tried.logits.intercepts
        found = held_out.logits if len(held_out.codes) else None
        if found is None and not held_out.strength:
            self.temperature_ = 1.0  # that of the zero-shot logits
        else:
            self.temperature_ = held_out.temperature()
        self._evaluate(found, held_out.codes, held_out.weights)


class _Tried(NamedTuple):
    """Held-out predictions with several weights of the unlabelled rows."""

    logits: LabelLogits
    labelled: Labelled
    propagation: Propagation | None
    held_out: tuple[HeldOutLogits, ...]

    @property
    def best(self) -> HeldOutLogits:
        return self.held_out[0] if len(self.held_out) == 1 else choose(*self.held_out)

    def reason(self) -> str:
        if self.propagation is None:
            return "learned from the labels only: there are no unlabelled images"
        return _reason(self.best, list(self.held_out))


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
