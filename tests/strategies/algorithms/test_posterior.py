"""Scores of items from posterior draws, by hand, and from the head of a pool."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import SelectionError
from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms import posterior
from embedpipe.strategies.algorithms.posterior import (
    expected_entropy,
    mutual_information,
    predictive_entropy,
    score_samples,
    vote_entropy,
    vote_shares,
)


def test_information_worked_out_by_hand():
    # Four draws of two classes: half have .8, half .4: the mean is .6.
    samples = np.array([[[0.8, 0.2]], [[0.4, 0.6]], [[0.8, 0.2]], [[0.4, 0.6]]])

    def h(p):
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    assert predictive_entropy(samples) == pytest.approx([h(0.6)], abs=1e-12)
    assert expected_entropy(samples) == pytest.approx([(h(0.8) + h(0.4)) / 2], abs=1e-12)
    assert mutual_information(samples) == pytest.approx([h(0.6) - (h(0.8) + h(0.4)) / 2], abs=1e-12)
    divergences = [
        p * np.log(p / 0.6) + (1 - p) * np.log((1 - p) / 0.4) for p in (0.8, 0.4)
    ]  # Kullback-Leibler, from the mean
    assert mutual_information(samples) == pytest.approx([np.mean(divergences)], abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draws", [2, 5, 64])
def test_equal_draws_have_no_information(dtype, draws):
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=20).astype(dtype)
    samples = np.repeat(p[None], draws, axis=0)
    assert mutual_information(samples).tolist() == [0.0] * 20
    assert vote_entropy(samples).tolist() == [0.0] * 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_confident_different_draws_have_the_most_information(dtype):
    samples = np.eye(4, dtype=dtype)[:, None]  # (4, 1, 4)
    assert mutual_information(samples) == pytest.approx([np.log(4)], abs=1e-6)
    assert vote_entropy(samples) == pytest.approx([1])


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5), st.floats(0.02, 20))
def test_information_is_between_0_and_its_maximum(seed, S, C, sharp):
    samples = np.random.default_rng(seed).dirichlet(np.full(C, sharp), size=(S, 9))
    for dtype, slack in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found = mutual_information(samples.astype(dtype))
        most = np.minimum(predictive_entropy(samples), np.log(S))
        assert (found >= 0).all()
        assert (found <= most + slack).all()
        votes = vote_entropy(samples.astype(dtype))
        assert ((votes >= 0) & (votes <= 1 + 1e-12)).all()


def test_votes_worked_out_by_hand():
    # Of five votes for three classes, 3 : 1 : 1; a tie goes to the first class.
    samples = np.eye(3)[[0, 0, 1, 2]][:, None]
    samples = np.concatenate([samples, [[[0.4, 0.4, 0.2]]]])
    assert vote_shares(samples).tolist() == [[0.6, 0.2, 0.2]]
    entropy = -0.6 * np.log(0.6) - 0.4 * np.log(0.2)
    assert vote_entropy(samples) == pytest.approx([entropy / np.log(3)])
    assert vote_entropy(np.eye(3)[[0, 1]][:, None]) == pytest.approx([1])  # two votes: log 2
    assert vote_entropy(np.ones((4, 2, 1))).tolist() == [0, 0]


class Scripted:
    """A head whose draws for the row [i, ...] are ``samples[:, i]``."""

    classes_ = np.array([0, 1])

    def __init__(self, samples):
        self.samples, self.asked, self.calls = samples, None, []

    def predict_proba(self, vectors):
        return self.samples.mean(axis=0)[vectors[:, 0].astype(int)]

    def posterior(self, X, n_samples, rng):
        self.asked = (X.tolist(), n_samples)
        return SimpleNamespace(predict_proba=self.drawn)

    def drawn(self, vectors):
        self.calls.append(len(vectors))
        return self.samples[:, vectors[:, 0].astype(int)]


def scripted(samples, labelled=(0,)):
    matrix = np.arange(samples.shape[1], dtype=np.float32)[:, None]
    head = Scripted(samples.astype(np.float32))
    return Pool(matrix, labelled=labelled, labels=[0] * len(labelled), head=head), head


@pytest.fixture
def samples():
    return np.random.default_rng(0).dirichlet([1, 1], size=(3, 50))


def test_unlabelled_rows_are_scored_in_blocks(samples, monkeypatch):
    pool, head = scripted(samples, labelled=[4, 30])
    expected = np.delete(samples.astype(np.float32)[:, :, 0].mean(axis=0), [4, 30])
    rng = np.random.default_rng(0)
    monkeypatch.setattr(posterior, "BLOCK_BYTES", 4 * 6 * 7)  # seven rows of 3 x 2 samples
    found = score_samples(pool, lambda s: s[:, :, 0].mean(axis=0), "bald", 3, rng)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert head.asked == ([[4.0], [30.0]], 3)
    assert sorted(head.calls) == [6, *[7] * 6]


@pytest.mark.parametrize("name", ["bald", "power_bald"])
def test_a_head_without_a_posterior_is_refused(name):
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    head = GaussianNB().fit(matrix[:2], [0, 1])
    pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], head=head)
    with pytest.raises(SelectionError) as caught:
        get_strategy(name).select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        f"strategy {name!r} needs a head with the method `posterior`; GaussianNB has none. "
        "Use LogisticHead, or the strategy 'query_by_committee', which works "
        "with any head."
    )


def test_samples_of_another_shape_are_refused(samples):
    pool, _ = scripted(samples)
    with pytest.raises(SelectionError) as caught:
        score_samples(pool, mutual_information, "bald", 4, np.random.default_rng(0))
    assert str(caught.value) == (
        "the posterior of Scripted returned samples of shape (3, 49, 2); they must have shape "
        "(4, 49, 2)."
    )


def test_samples_that_are_not_finite_are_refused(samples):
    samples[1, 7] = np.nan
    pool, _ = scripted(samples)
    with pytest.raises(SelectionError) as caught:
        score_samples(pool, mutual_information, "bald", 3, np.random.default_rng(0))
    assert str(caught.value) == "the samples of row 7 hold NaN or infinity: refit the head."


@pytest.mark.parametrize("name", ["bald", "power_bald", "logdet_bald", "query_by_committee"])
def test_predictions_alone_are_not_enough(name):
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    pool = Pool(
        matrix, labelled=[0], labels=[0], probabilities=lambda rows: np.full((rows.size, 2), 0.5)
    )
    with pytest.raises(SelectionError) as caught:
        get_strategy(name).select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "this strategy needs the head itself, not only probabilities: give the pool a fitted "
        "`head`."
    )


# bald and power_bald, on draws given by hand


def hand():
    """Six items of two draws; information .69 0 .22 0 .69 .13 of items 0 to 5."""
    first = [1.0, 0.5, 0.5, 0.9, 0.0, 0.5]
    second = [0.0, 0.5, 1.0, 0.9, 1.0, 0.0 + 0.05]
    p = np.array([first, second])  # (2, 6)
    return np.stack([p, 1 - p], axis=2)  # (2, 6, 2)


def test_bald_takes_the_largest_information():
    samples = np.concatenate([hand(), hand()[:, :1]], axis=1)  # item 6 is labelled
    pool, _ = scripted(samples, labelled=[6])
    selection = get_strategy("bald", samples=2).select(pool, 6, np.random.default_rng(0))
    h = [0.693147, 0.693147, 0.215762, 0.142338, 0, 0]
    assert selection.rows.tolist() == [0, 4, 2, 5, 1, 3]
    assert selection.scores == pytest.approx(h, abs=1e-5)
    # of the mean predictions .5 .5 .75 .275 .5 .9
    entropy = [0.693147, 0.693147, 0.562335, 0.588169, 0.693147, 0.325083]
    assert selection.diagnostics["entropy"] == pytest.approx(entropy, abs=1e-4)
    assert selection.diagnostics["entropy"].dtype == np.float32


def test_power_bald_takes_items_of_score_0_last():
    samples = np.concatenate([hand(), hand()[:, :1]], axis=1)
    pool, _ = scripted(samples, labelled=[6])
    strategy = get_strategy("power_bald", samples=2)
    last = {tuple(strategy.select(pool, 6, np.random.default_rng(s)).rows[4:]) for s in range(40)}
    assert last == {(1, 3), (3, 1)}
    selection = strategy.select(pool, 6, np.random.default_rng(3))
    ranks = dict(zip(selection.rows.tolist(), selection.diagnostics["rank"].tolist(), strict=True))
    assert ranks == {0: 0, 4: 1, 2: 2, 5: 3, 1: 4, 3: 5}
    scores = dict(zip(selection.rows.tolist(), selection.scores.tolist(), strict=True))
    assert scores[2] == pytest.approx(0.215762, abs=1e-5)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_power_bald_draws_in_proportion_to_a_power_of_the_score(beta):
    samples = np.concatenate([hand(), hand()[:, :1]], axis=1)
    pool, _ = scripted(samples, labelled=[6])
    strategy = get_strategy("power_bald", beta=beta, samples=2)
    rounds, first, second = 4000, np.zeros(6), np.zeros(6)
    rng = np.random.default_rng(5)
    for _ in range(rounds):
        picks = strategy.choose(pool, 2, rng).rows
        first[picks[0]] += 1
        second[picks[1]] += picks[0] == 0
    weights = mutual_information(hand()) ** beta
    share = weights / weights.sum()
    np.testing.assert_allclose(first / rounds, share, atol=0.03)
    rest = weights.copy()
    rest[0] = 0  # after item 0 is drawn, the others share the rest
    np.testing.assert_allclose(second / first[0], rest / rest.sum(), atol=0.05)


def test_a_large_beta_is_bald(make_pool):
    matrix = np.random.default_rng(0).standard_normal((80, 5)).astype(np.float32)
    pool = make_pool(matrix, labelled=range(9))
    rows = [
        get_strategy(name, **options).select(pool, 20, np.random.default_rng(0)).rows.tolist()
        for name, options in (("bald", {}), ("power_bald", {"beta": 1e6}))
    ]
    assert rows[0] == rows[1]


def test_bald_prefers_the_unknown_to_the_ambiguous():
    # The labels differ on one axis only; the boundary is at 0.
    rng = np.random.default_rng(0)
    known = np.column_stack([rng.normal(size=200) * 0.5, np.zeros(200)])
    labels = (rng.random(200) < 1 / (1 + np.exp(-6 * known[:, 0]))).astype(int)
    matrix = np.concatenate([known, [[0, 0], [0.05, 3]]]).astype(np.float32)
    from embedpipe.heads import LogisticHead

    head = LogisticHead(C=10.0, normalize=False).fit(matrix[:200], labels)
    pool = Pool(matrix, labelled=np.arange(200), labels=labels, head=head)
    assert get_strategy("bald").select(pool, 1, np.random.default_rng(0)).rows.tolist() == [201]
    p = pool.probabilities()[:, 0]
    assert abs(p[0] - 0.5) < 0.1
    assert abs(p[1] - 0.5) < 0.1


def test_entropies_of_a_few_draws():
    assert predictive_entropy(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).round(4).tolist() == [0.6931]
    assert expected_entropy(np.array([[[1.0, 0.0]], [[0.5, 0.5]]])).round(4).tolist() == [0.3466]
    # confident and opposite; uncertain and equal; slightly different
    samples = np.array([[[1, 0], [0.5, 0.5], [0.5, 0.5]], [[0, 1], [0.5, 0.5], [1, 0]]])
    assert mutual_information(samples).round(4).tolist() == [0.6931, 0.0, 0.2158]
    votes = np.array([[[0.9, 0.1]], [[0.6, 0.4]], [[0.2, 0.8]]])
    assert vote_entropy(votes).round(4).tolist() == [0.9183]
    votes = np.array([[[0.9, 0.1]], [[0.5, 0.5]], [[0.2, 0.8]], [[0.3, 0.7]]])
    assert vote_shares(votes).tolist() == [[0.5, 0.5]]
