"""The expected accuracy on the rows without a label."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB

import embedpipe as ep
from embedpipe._loops.fitting import Batch, Trainer
from embedpipe.active.expected import (
    expected_accuracy,
    expected_of_candidates,
    expected_of_rows,
)
from embedpipe.active.sample import NearestLabels, Neighbours, evenness, predictions_of
from embedpipe.heads import HeldOutPredictions

CLASSES = np.array(["hat", "shoe", "sock"])
NEAR = Neighbours(0.7, 0.7)


def predictions(seed, n, sure=3.0):
    """Random probabilities of three classes."""
    logits = sure * np.random.default_rng(seed).standard_normal((n, 3))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def held_out(seed, n, sure=3.0):
    """Calibrated predictions: each class is drawn with its probability."""
    probabilities = predictions(seed, n, sure)
    drawn = np.random.default_rng([seed, 1]).random(n)
    codes = (drawn[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return HeldOutPredictions(probabilities, codes)


def test_the_expected_accuracy_by_hand():
    half = np.full((4, 2), 0.5)  # log-odds 0
    labels = HeldOutPredictions(np.full((100, 2), 0.5), np.arange(100) % 2)
    found = expected_accuracy(CLASSES[:2], labels, half, Neighbours(0.5, 1.0), count=400)
    share = 1 / (1 + np.exp(0.47 - 0.25))
    assert found.value == pytest.approx(share, abs=1e-6)
    spread = np.sqrt(0.2**2 + 2.0**2 / 100 + 1 / (400 * share * (1 - share)))
    limits = [1 / (1 + np.exp(0.22 - side * 1.6449 * spread)) for side in (-1, 1)]
    assert found.interval == pytest.approx(limits, abs=1e-5)
    # Neighbours that agree less, but the difference counts up to 0.5 only; half of the labels used.
    found = expected_accuracy(CLASSES[:2], labels, half, Neighbours(0.1, 0.5), count=400)
    odds = 0.25 - 0.47 - 0.45 * 0.5 + 0.45 * 0.5 * np.log(2)
    assert found.value == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)


def test_a_small_rest_has_a_wide_interval():
    labels, rest = held_out(0, 400), predictions(1, 20)
    small, large = (
        expected_accuracy(CLASSES, labels, rest, Neighbours(0.75, 0.7), count)
        for count in (20, 20_000)
    )
    assert small.value == large.value
    assert small.low < large.low < large.high < small.high
    assert small.high - small.low > 1.5 * (large.high - large.low)


def test_calibrated_predictions_give_an_interval_around_the_accuracy():
    rest = held_out(1, 4000)
    found = expected_accuracy(CLASSES, held_out(0, 400), rest.probabilities, Neighbours(0.75, 0.7))
    assert found.low < rest.accuracy < found.high
    assert abs(found.value - rest.accuracy) < 0.05


def test_difficult_labels_do_not_lower_the_expected_accuracy():
    difficult, rest = held_out(0, 200, sure=0.7), held_out(1, 4000, sure=4.0)
    found = expected_accuracy(CLASSES, difficult, rest.probabilities, Neighbours(0.8, 0.7))
    assert difficult.accuracy < 0.6 < 0.8 < rest.accuracy
    assert abs(found.value - rest.accuracy) < 0.08


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 50), sure=st.sampled_from([0.1, 3.0, 100.0]))
def test_the_confusion_matrix_agrees_with_the_value(seed, n, sure):
    rest = predictions(seed, n, sure)
    found = expected_accuracy(CLASSES, held_out(seed, 60), rest, NEAR, count=10 * n)
    predicted = np.bincount(rest.argmax(axis=1), minlength=3)
    assert found.confusion.sum(axis=0) == pytest.approx(10.0 * predicted)
    assert np.trace(found.confusion) == pytest.approx(10 * n * found.value, rel=1e-4)
    assert (found.confusion >= 0).all()
    shares = [each.share for each in found.per_class.values() if each.share is not None]
    assert shares == sorted(shares)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_figures_of_a_class_by_hand():
    rest = np.array([[0.8, 0.2, 0.0]] * 5 + [[0.3, 0.7, 0.0]] * 5)
    found = expected_accuracy(CLASSES, held_out(0, 100), rest, NEAR)
    hats, shoes = found.confusion[:, 0], found.confusion[:, 1]
    assert found.confusion[:, 2].tolist() == [0, 0, 0]
    hat, sock = found.per_class["hat"], found.per_class["sock"]
    assert hat.rows == pytest.approx(hats[0] + shoes[0]) and hat.predicted == pytest.approx(5)
    assert hat.share == pytest.approx(hats[0] / hat.rows)
    assert (sock.share, sock.predicted) == (None, 0.0) and sock.rows < 1e-4  # no sock is left
    assert list(found.per_class)[-1] == "sock"


FEW_LABELS = "Label at least two images of each of two classes."


def test_labels_of_one_class_give_a_reason():
    one_class = HeldOutPredictions(predictions(0, 2), np.array([1, 1]))
    found = expected_accuracy(CLASSES, one_class, predictions(1, 9), NEAR)
    assert (found.value, found.interval, found.reason) == (None, None, FEW_LABELS)
    assert found.per_class == {} and not found.confusion.any()
    assert str(found) == "expected accuracy unknown"


@pytest.mark.parametrize(
    ("labelled", "reason"),
    [
        (["hat", "hat", "hat", None], FEW_LABELS),
        (["hat", "shoe", None, None], FEW_LABELS),
        (["hat", "hat", "shoe", "shoe"], "All images have a label."),
    ],
)
def test_too_few_and_too_many_labels_give_a_reason(labelled, reason):
    matrix = np.array([[0, 1], [0.1, 1], [1, 0], [1, 0.1]], dtype=np.float32)
    rows = np.array([row for row, label in enumerate(labelled) if label is not None])
    batch = Batch(rows, np.array([label for label in labelled if label is not None]))
    trainer = Trainer(ep.LogisticHead(), matrix, np.arange(4), batch.labels[:0])
    head = trainer.fit(trainer.fresh(), batch)
    found = expected_of_candidates(trainer, head, trainer.held_out(head, batch), batch)
    assert (found.value, found.reason) == (None, reason)


def test_the_labels_of_the_most_similar_rows_by_hand():
    angles = np.array([0.0, 0.1, 0.2, 1.5, 1.4, 1.3])
    matrix = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    matrix[2] *= 50  # only the direction counts
    nearest = NearestLabels(matrix, np.array([1, 2, 4, 5]))
    assert nearest.labels is None
    batches = [Batch(np.array([3]), np.array(["hat"]))]
    nearest.update(batches)
    assert nearest.labels.tolist() == ["hat"] * 4
    nearest.update([*batches, Batch(np.array([0]), np.array(["a sock"]))])
    assert nearest.labels.tolist() == ["a sock", "a sock", "hat", "hat"]
    nearest.update(batches)  # nothing new
    assert nearest.labels.tolist() == ["a sock", "a sock", "hat", "hat"]
    assert nearest.nearest.tolist() == [0, 0, 3, 3]
    rest = np.array([True, True, True, False])
    predicted = np.array(["a sock", "hat", "hat", "a sock"])
    # Rows 0 and 3 have two and one of three: one of three pairs is equal, 3 of 2 labels, at most 1.
    assert nearest.measures(rest, predicted, 2) == (2 / 3, 1.0)


def test_the_evenness_by_hand():
    assert evenness(np.array([4, 4, 4, 4]), 5) == 0.2  # one of five labels has all
    assert evenness(np.array([4, 4, 6, 6, 6, 6, 6]), 2) == pytest.approx(42 / 22 / 2)
    assert evenness(np.array([1, 2, 3]), 3) == evenness(np.array([1]), 3) == 1.0


def test_of_two_equally_similar_rows_the_first_one_counts():
    matrix = np.array([[1, 0], [2, 0], [3, 0]], dtype=np.float32)
    nearest = NearestLabels(matrix, np.array([0]))
    nearest.update(
        [Batch(np.array([1]), np.array(["hat"])), Batch(np.array([2]), np.array(["shoe"]))]
    )
    assert nearest.labels.tolist() == ["hat"]


def clusters(n=600):
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=n)
    vectors = rng.standard_normal((n, 8)) + 2.0 * np.eye(8)[codes]
    return vectors.astype(np.float32), np.array(["hat", "shoe", "sock"])[codes]


def run(tmp_path=None, **options):
    X, y = clusters()
    problem = ep.Problem.from_arrays(X, y, np.arange(len(y)))
    loop = ep.ActiveLoop(
        problem, strategy="margin", initial="random", initial_size=30, batch_size=30,
        workspace=tmp_path, **options,
    )  # fmt: skip
    return loop, list(loop.run(2))


def test_each_round_of_a_loop_has_an_expected_accuracy(tmp_path):
    loop, records = run(tmp_path)
    X, y = clusters()
    for record in records:
        low, high = record.expected_accuracy_ci
        assert 0.5 < low < record.expected_accuracy < high < 1
        summary = json.loads(json.dumps(record.summary()))
        assert summary["expected_accuracy"] == record.expected_accuracy
        assert summary["expected_accuracy_ci"] == [low, high]
        assert summary["rest_accuracy"] == record.rest_accuracy
    labelled, _ = loop.labelled()
    rest = np.setdiff1d(np.arange(len(y)), labelled)
    truth = np.mean(loop.predict(X[rest]) == y[rest])
    assert records[-1].rest_accuracy == truth
    assert abs(records[-1].expected_accuracy - truth) < 0.1
    table = pq.read_table(loop.folder().path / "rounds.parquet")
    for name in ("expected_accuracy", "rest_accuracy"):
        assert table[name].to_pylist() == [getattr(each, name) for each in records]
    assert [each.expected_accuracy_ci for each in run(tmp_path)[1]] == [
        each.expected_accuracy_ci for each in records
    ]


def test_hidden_labels_do_not_change_the_expected_accuracy():
    X, y = clusters()
    loop, records = run()
    labelled, _ = loop.labelled()
    other = np.full(len(y), "sock")
    other[labelled] = y[labelled]
    problem = ep.Problem.from_arrays(X, other, np.arange(len(y)))
    again = ep.ActiveLoop(
        problem, strategy="margin", initial="random", initial_size=30, batch_size=30
    )
    assert [each.expected_accuracy for each in again.run(2)] == [
        each.expected_accuracy for each in records
    ]


def test_runs_without_the_columns_can_be_read(tmp_path):
    loop, _ = run(tmp_path)
    path = loop.folder().path / "rounds.parquet"
    names = ["expected_accuracy", "expected_accuracy_ci", "rest_accuracy"]
    pq.write_table(pq.read_table(path).drop_columns(names), path)
    _, records = run(tmp_path)
    assert [each.expected_accuracy for each in records] == [None] * 3
    assert [each.rest_accuracy for each in records] == [None] * 3


def test_a_continued_run_has_the_same_estimates(tmp_path):
    loop, _ = run(tmp_path)
    whole = [each.expected_accuracy for each in loop.run(5)]
    other = tmp_path / "other"
    run(other)  # three rounds
    again, _ = run(other)
    assert [each.expected_accuracy for each in again.run(5)] == whole


def test_a_large_pool_is_estimated_and_measured_on_a_sample():
    X, y = clusters(5000)
    problem = ep.Problem.from_arrays(X, y, np.arange(len(y)))
    loop = ep.ActiveLoop(problem, strategy="random", initial="random", initial_size=50)
    (record,) = loop.run(0)
    rest = np.setdiff1d(np.arange(len(y)), loop.labelled()[0])
    truth = np.mean(loop.predict(X[rest]) == y[rest])
    assert record.rest_accuracy != truth
    assert abs(record.rest_accuracy - truth) < 0.03
    assert abs(record.expected_accuracy - truth) < 0.1


def test_a_loop_without_unlabelled_rows_has_no_accuracy_on_the_rest():
    X, y = clusters(60)
    problem = ep.Problem.from_arrays(X, y, np.arange(len(y)))
    loop = ep.ActiveLoop(problem, strategy="random", initial_size=30, batch_size=30)
    first, last = loop.run(1)
    assert 0 < first.rest_accuracy <= 1
    assert (last.rest_accuracy, last.expected_accuracy) == (None, None)


def test_other_heads_are_cross_validated_and_forgetful_heads_have_no_estimate():
    assert all(record.expected_accuracy for record in run(head=GaussianNB())[1])
    for options in ({"advice": "cheap"}, {"mode": "incremental"}):
        records = run(head=GaussianNB(), **options)[1]
        assert [each.expected_accuracy for each in records] == [None] * 3


def test_overconfident_predictions_are_calibrated():
    X, y = clusters()
    rows = np.arange(60)
    trainer = Trainer(GaussianNB(), X, np.arange(len(y)), np.array([], dtype=np.str_))
    batch = Batch(rows, y[:60])
    head = GaussianNB().fit(X[:60], y[:60])
    held_out = trainer.held_out(head, batch)
    sure = HeldOutPredictions(held_out.probabilities**8, held_out.codes)
    sure = sure._replace(probabilities=sure.probabilities / sure.probabilities.sum(axis=1)[:, None])
    rest = np.arange(60, len(y))
    predictions = predictions_of(head, X, rest)
    found = [
        expected_of_rows(trainer, head, each, batch, rest, predictions._replace(probabilities=p))
        for each, p in (
            (held_out, predictions.probabilities),
            (sure, predictions.probabilities**8),
        )
    ]
    assert sure.temperature() > 3 > held_out.temperature()
    assert abs(found[0].value - found[1].value) < 0.05
    assert abs(found[0].value - head.score(X[rest], y[rest])) < 0.08
