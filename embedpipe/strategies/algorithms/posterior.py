"""Scores of items from posterior samples of the predictions of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...errors import SelectionError
from ...index.vectors import take_rows
from ..pool import Pool

__all__ = [
    "Posterior",
    "expected_entropy",
    "information_and_entropy",
    "mutual_information",
    "predictive_entropy",
    "samples_block",
    "score_samples",
    "vote_entropy",
    "vote_shares",
]

Float64s = NDArray[np.float64]

BLOCK_BYTES = 4 << 20
"""Approximate bytes of vectors, and of samples, per block."""

ROUNDING = 1e-12
"""Largest mutual information, in nats, that counts as rounding error and becomes 0."""


class Posterior(Protocol):
    """The result of ``head.posterior(X, n_samples, rng)``: S draws of the weights of the head.

    `X` are the labelled vectors, which a head may ignore. The method ``posterior`` is optional,
    like ``decision_function`` of scikit-learn classifiers.
    """

    def predict_proba(self, V: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Return class probabilities of (k, d) vectors: (S, k, C). All calls use the same draws."""
        ...


def score_samples(
    pool: Pool,
    score: Callable[[NDArray[np.float32]], Float64s],
    strategy: str,
    n_samples: int,
    rng: np.random.Generator,
) -> Float64s:
    """Return scores of the unlabelled rows from posterior draws: (u,) or (u, m)."""
    # `score` maps (S, k, C) probabilities to (k,) or (k, m) scores.
    head = pool.head
    if not hasattr(head, "posterior"):
        raise SelectionError(
            f"strategy {strategy!r} needs a head with the method `posterior`; "
            f"{type(head).__name__} has none. Use LogisticHead, or the strategy "
            "'query_by_committee', which works with any head."
        )
    labelled = take_rows(pool.embeddings, pool.labelled)  # (m, d)
    posterior: Posterior = head.posterior(labelled, n_samples, rng)

    def work(part: slice) -> Float64s:
        rows = pool.unlabelled[part]  # (k,)
        samples = posterior.predict_proba(take_rows(pool.embeddings, rows))  # (S, k, C)
        wanted = (n_samples, rows.size, len(pool.classes))
        if samples.shape != wanted:
            raise SelectionError(
                f"the posterior of {type(head).__name__} returned samples of shape "
                f"{samples.shape}; they must have shape {wanted}."
            )
        found = score(samples)  # (k,) or (k, m)
        bad = np.flatnonzero(~np.isfinite(found.reshape(rows.size, -1)).all(axis=1))
        if bad.size:
            raise SelectionError(
                f"the samples of row {rows[bad[0]]} hold NaN or infinity: refit the head."
            )
        return found

    size = samples_block(pool.embeddings.shape[1], n_samples * len(pool.classes))
    return np.concatenate(map_blocks(work, pool.unlabelled.size, size))  # (u,) or (u, m)


def samples_block(dim: int, values: int) -> int:
    """Return the rows per block if a row has `dim` features and `values` samples; at least 1."""
    return max(1, BLOCK_BYTES // (4 * max(dim, values)))


def predictive_entropy(samples: NDArray[Any]) -> Float64s:
    """Return the (k,) entropy, in nats, of the mean prediction of (S, k, C) samples."""
    p = _floats(samples)
    return _entropies(p.mean(axis=0, dtype=np.float64).astype(p.dtype), over=1)  # (k,)


def expected_entropy(samples: NDArray[Any]) -> Float64s:
    """Return the (k,) mean entropy, in nats, of the predictions of (S, k, C) samples."""
    return _entropies(_floats(samples), over=(0, 2)) / len(samples)  # (k,)


def mutual_information(samples: NDArray[Any]) -> Float64s:
    """Return predictive minus expected entropy of (S, k, C) samples, in nats, at least 0: (k,).

    Houlsby, Huszár, Ghahramani, Lengyel (2011), arXiv:1112.5745.
    """
    return information_and_entropy(samples)[:, 0]


def information_and_entropy(samples: NDArray[Any]) -> Float64s:
    """Return `mutual_information` and `predictive_entropy` of (S, k, C) samples: (k, 2)."""
    entropy = predictive_entropy(samples)  # (k,)
    found = entropy - expected_entropy(samples)  # (k,)
    return np.column_stack([np.where(found <= ROUNDING, 0.0, found), entropy])


def vote_entropy(samples: NDArray[Any]) -> Float64s:
    """Return the entropy of the votes of (S, k, C) samples, divided by log(min(S, C)): (k,).

    Dagan, Engelson (1995), "Committee-based sampling for training probabilistic classifiers".
    """
    members, k, classes = samples.shape
    most = min(members, classes)
    if most == 1:
        return np.zeros(k)
    return np.asarray(_entropies(vote_shares(samples), over=1) / np.log(most))  # (k,)


def vote_shares(samples: NDArray[Any]) -> Float64s:
    """Return the share of members that vote for each class: (k, C)."""
    members, k, classes = samples.shape
    shares = np.zeros((k, classes))
    for vote in samples.argmax(axis=2):  # (k,)
        shares[np.arange(k), vote] += 1
    return np.asarray(shares / members)


def _entropies(p: NDArray[Any], over: int | tuple[int, int]) -> Float64s:
    """Return −p·log p in nats, summed over the axes `over` in float64."""
    terms = np.maximum(p, np.finfo(p.dtype).tiny)  # 0·log 0 = 0
    np.log(terms, out=terms)
    terms *= p
    return np.asarray(0.0 - terms.sum(axis=over, dtype=np.float64))


def _floats(samples: NDArray[Any]) -> NDArray[Any]:
    """Return float32 samples unchanged, and other samples as float64."""
    return samples if samples.dtype == np.float32 else samples.astype(np.float64, copy=False)
