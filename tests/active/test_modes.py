"""Training modes: the rows that heads are trained on, and killed runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

import embedpipe as ep
from embedpipe._loops.fitting import Batch, Trainer
from embedpipe.active import MODES, ActiveLoop, Problem
from embedpipe.errors import RunError, UsageError
from embedpipe.heads import _propagation
from embedpipe.heads._propagation import principal_axes
from tests.active.test_loop import plain


class RecordingHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Records the rows of its training; the first column of a row is its number."""

    def __init__(self, warm_start: bool = False) -> None:
        self.warm_start = warm_start

    def fit(self, X: np.ndarray, y: np.ndarray) -> RecordingHead:
        if not self.warm_start or not hasattr(self, "calls_"):
            self.calls_: list[tuple[str, list[int]]] = []
        self.classes_ = np.unique(y)
        self.calls_.append(("fit", X[:, 0].astype(int).tolist()))
        return self

    def partial_fit(
        self, X: np.ndarray, y: np.ndarray, classes: np.ndarray | None = None
    ) -> RecordingHead:
        if not hasattr(self, "calls_"):
            self.calls_ = []
        self.classes_ = np.unique(y) if classes is None else classes
        self.calls_.append(("partial_fit", X[:, 0].astype(int).tolist()))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def problem(n: int = 60, tests: int = 20) -> Problem:
    rng = np.random.default_rng(3)
    matrix = np.column_stack([np.arange(n), 5 * (np.arange(n) % 3), rng.standard_normal(n)])
    labels = [f"c{row % 3}" for row in range(n)]
    return Problem.from_arrays(
        matrix.astype(np.float32), labels, range(n - tests), range(n - tests, n)
    )


def training_calls(mode: str, rounds: int = 3, **options: Any) -> tuple[list[Any], list[list[int]]]:
    """Return the training calls of the last round's head, and the picks of each round."""
    loop = ActiveLoop(
        problem(), head=RecordingHead(), strategy="random", initial="random", initial_size=5,
        batch_size=4, mode=mode, **options,
    ).fit(rounds)  # fmt: skip
    return loop.fitted.calls_, [record.rows.tolist() for record in loop.records]


def joined(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cumulative", lambda picks: [("fit", joined(picks))]),
        ("half_cumulative", lambda picks: [("fit", joined(picks[: n + 1])) for n in range(4)]),
        ("incremental", lambda picks: [("partial_fit", rows) for rows in picks]),
    ],
)
def test_modes_train_a_new_or_the_same_head_on_all_or_the_newest_labels(
    mode: str, expected: Callable[[list[list[int]]], list[Any]]
) -> None:
    calls, picks = training_calls(mode)
    assert calls == expected(picks)


@pytest.mark.parametrize("mode", MODES)
def test_heads_of_earlier_rounds_are_trained_again(mode: str) -> None:
    loop = ActiveLoop(
        problem(), head=RecordingHead(), strategy="random", initial="random", initial_size=5,
        batch_size=4, mode=mode,
    )  # fmt: skip
    seen = [list(loop.fitted.calls_) for _ in loop.run(rounds=3)]
    assert [loop.head_after(number).calls_ for number in range(4)] == seen
    assert len(loop.records) == 4 and loop.fitted.calls_ == seen[-1]
    with pytest.raises(RunError) as error:
        loop.head_after(4)
    assert str(error.value) == "there is no round 4; 4 rounds were run."


def test_replay_adds_one_batch_of_earlier_labels() -> None:
    calls, picks = training_calls("replay", rounds=5)
    assert calls[0] == ("partial_fit", picks[0])
    for number in range(1, 6):
        earlier = joined(picks[:number])
        replayed, newest = calls[number][1][:-4], calls[number][1][-4:]
        assert newest == picks[number]
        assert len(set(replayed)) == 4
        assert set(replayed) <= set(earlier)
    assert training_calls("replay", buffer_size=2)[0][-1][1][2:] == picks[3]


def test_a_buffer_larger_than_the_labelled_set_replays_all_labels() -> None:
    calls, picks = training_calls("replay", buffer_size=100)
    for number in range(1, 4):
        assert calls[number] == ("partial_fit", joined(picks[: number + 1]))


def test_the_buffer_is_a_reservoir_of_all_earlier_labels() -> None:
    matrix = np.zeros((400, 2), np.float32)
    counts = np.zeros(400)
    for seed in range(300):
        trainer = Trainer(None, matrix, np.arange(400), np.array(["a"]), seed=seed, buffer_size=40)
        batches = [Batch(rows, np.full(100, "a")) for rows in np.arange(400).reshape(4, 100)]
        kept = trainer.buffer(batches).rows
        assert len(set(kept.tolist())) == 40
        # Rows that a reservoir drops never return.
        before = trainer.buffer(batches[:3]).rows
        assert set(kept.tolist()) & set(range(300)) <= set(before.tolist())
        counts[kept] += 1
    of_batch = counts.reshape(4, 100).sum(axis=1)  # 3,000 expected; binomial sd 47
    assert np.abs(of_batch - 3000).max() < 200
    assert counts.max() < 60  # 30 expected of each row, sd 5.2


def test_a_batch_without_an_answer_changes_no_head() -> None:
    loop = ActiveLoop(
        problem(), head=RecordingHead(), strategy="random", initial="random", initial_size=5,
        batch_size=4, mode="incremental", labelling=ep.active.OracleOptions(abstain=1.0),
    ).fit(3)  # fmt: skip
    assert [record.labelled for record in loop.records] == [0, 0, 0, 0]
    assert [record.accuracy for record in loop.records] == [None] * 4
    assert loop.fitted is None
    with pytest.raises(ep.errors.RunError) as caught:
        loop.predict([[1.0, 2.0, 3.0]])
    assert str(caught.value) == (
        "the head is not fitted yet: call `fit`, or iterate over `run`, first."
    )


@pytest.mark.parametrize("by_name", [False, True])
def test_heads_of_scikit_learn_receive_all_classes(by_name: bool) -> None:
    head = SGDClassifier(loss="log_loss", random_state=0)
    name = "sklearn.linear_model:SGDClassifier(loss='log_loss', random_state=0)"
    loop = ActiveLoop(
        problem(), head=name if by_name else head, strategy="random", initial="random",
        initial_size=1, batch_size=1, mode="incremental",
    ).fit(4)  # fmt: skip
    assert loop.classes_.tolist() == ["c0", "c1", "c2"]
    expected = clone(head)
    rows, labels = loop.labelled()
    for row, label in zip(rows, labels, strict=True):
        expected.partial_fit(loop.problem.matrix[[row]], [label], classes=["c0", "c1", "c2"])
    fitted = loop.fitted.estimator_ if by_name else loop.fitted
    assert np.array_equal(fitted.coef_, expected.coef_)


def test_heads_are_cross_validated_for_the_full_advice() -> None:
    def advice(**options: Any) -> list[dict[str, Any]]:
        loop = ActiveLoop(
            problem(), strategy="random", initial="random", initial_size=9, batch_size=6, **options
        )
        return [record.advice for record in loop.run(2)]

    full = advice(head=GaussianNB())
    assert [each["cv_n"] for each in full] == [9, 15, 21]
    assert full[-1]["cv_accuracy"] == 1.0  # the classes lie far apart
    cheap = advice(head=GaussianNB(), advice="cheap")
    assert [each["cv_accuracy"] for each in cheap] == [None] * 3
    assert [each["agreement"] for each in cheap] == [None, 1.0, 1.0]
    # An incremental head forgets: its accuracy cannot be measured by fits to all labels.
    forgetful = advice(head=GaussianNB(), mode="incremental")
    assert [each["cv_accuracy"] for each in forgetful] == [None] * 3
    # Eight neighbours need more than the 7 labels of a fold.
    few = advice(head=ep.get_head("sklearn.neighbors:KNeighborsClassifier(n_neighbors=8)"))
    assert [each["cv_n"] for each in few] == [0, 15, 21]


def test_agreement_compares_the_predictions_of_two_rounds() -> None:
    loop = ActiveLoop(
        problem(), head=GaussianNB(), strategy="random", initial="random", initial_size=3,
        batch_size=2, seed=4,
    )  # fmt: skip
    predictions = []
    for record in loop.run(6):
        predictions.append(loop.predict(loop.problem.matrix[:40]))
        if len(predictions) > 1:
            assert record.advice["agreement"] == np.mean(predictions[-1] == predictions[-2])
    assert any(record.advice["agreement"] not in (None, 1.0) for record in loop.records)


def test_exact_incremental_heads_equal_cumulative_ones() -> None:
    def fitted(mode: str) -> Any:
        return ActiveLoop(
            problem(), head="nearest_mean", strategy="random", initial="random", initial_size=5,
            batch_size=7, mode=mode,
        ).fit().fitted  # fmt: skip

    test = problem().matrix[40:]
    one, other = fitted("cumulative"), fitted("incremental")
    assert np.allclose(one.predict_proba(test), other.predict_proba(test), atol=1e-6)


def test_heads_that_do_not_support_a_mode_raise_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        ActiveLoop(problem(), head=GaussianNB(), mode="half_cumulative")
    assert str(caught.value) == (
        "mode 'half_cumulative' continues from the weights of the previous round, but a GaussianNB "
        "has no warm_start option: use mode cumulative or incremental or replay, or a head such as "
        "mlp."
    )
    knn = ep.get_head("sklearn.neighbors:KNeighborsClassifier")
    with pytest.raises(UsageError) as caught:
        ActiveLoop(problem(), head=knn, mode="replay")
    assert str(caught.value) == (
        "mode 'replay' continues from the weights of the previous round, but a "
        "KNeighborsClassifier has no method partial_fit: use mode cumulative, or a head such as "
        "mlp."
    )


def test_options_that_are_not_valid_raise_an_error() -> None:
    for options, message in (
        ({"skip": -1}, "skip is -1: give a whole number, at least 0."),
        ({"buffer_size": 3}, "buffer_size is for mode 'replay', and this is mode 'cumulative'."),
        (
            {"buffer_size": 0, "mode": "replay", "head": GaussianNB()},
            "buffer_size is 0: give a whole number, at least 1.",
        ),
        ({"advice": "none"}, "unknown advice 'none': use full or cheap."),
    ):
        with pytest.raises(UsageError) as caught:
            ActiveLoop(problem(), **options)  # type: ignore[arg-type]
        assert str(caught.value) == message


class Unlabelled(RecordingHead):
    """Learns from unlabelled rows too."""

    uses_unlabelled = True

    def fit(self, X: np.ndarray, y: np.ndarray, unlabelled: np.ndarray | None = None) -> Unlabelled:
        super().fit(X, y)
        self.seen_ = None if unlabelled is None else unlabelled[:, 0].astype(int).tolist()
        return self


def test_semi_supervised_heads_receive_only_candidates() -> None:
    loop = ActiveLoop(
        problem(), head=Unlabelled(), strategy="random", initial="random", initial_size=5,
        batch_size=5, advice="cheap",
    ).fit(1)  # fmt: skip
    assert loop.fitted.seen_ == sorted(set(range(40)) - set(loop.labelled()[0].tolist()))
    assert loop.fit().fitted.seen_ is None  # no unlabelled candidate is left


def test_semi_supervised_heads_receive_at_most_2048_rows() -> None:
    rows = np.arange(0, 100_000, 2)
    trainer = Trainer(None, np.zeros((1, 1), np.float32), rows, np.array(["a"]), seed=1)
    shown = trainer.sample
    assert shown.size == 2048
    assert (np.diff(shown) > 0).all()
    assert not (shown % 2).any()
    assert abs(shown.mean() - 50_000) < 2_500  # sd 638


def test_the_principal_axes_are_computed_once_in_a_loop(monkeypatch) -> None:
    calls = []

    def spy(rows, n_axes):
        calls.append(len(rows))
        return principal_axes(rows, n_axes)

    monkeypatch.setattr(_propagation, "principal_axes", spy)
    loop = ActiveLoop(
        problem(), head="auto", strategy="random", initial="random", initial_size=10, batch_size=5
    ).fit(3)
    assert calls == [40]
    assert loop.fitted.n_unlabelled_ == 40 - 25


def picks_so_far(records: list[ep.RoundRecord]) -> list[list[int]]:
    rows = [record.rows.tolist() for record in records]
    return [joined(rows[: number + 1]) for number in range(len(rows))]


HEADS: dict[str, Any] = {
    "cumulative": "logistic",
    "half_cumulative": ep.get_head("mlp", hidden=8, epochs=5),
    "incremental": SGDClassifier(loss="log_loss", random_state=0),
    "replay": MLPClassifier((8,), random_state=0),
}


@pytest.mark.parametrize("mode", list(MODES))
def test_a_continued_run_is_equal_to_the_last_bit(mode: str, tmp_path: Path) -> None:
    def loop(workspace: Path) -> ActiveLoop:
        return ActiveLoop(
            problem(), strategy="margin", initial="random", initial_size=12, batch_size=5,
            head=HEADS[mode], mode=mode, workspace=workspace,
        )  # fmt: skip

    whole = loop(tmp_path / "one").fit(4)
    broken_off = loop(tmp_path / "two").run(4)
    for _ in range(3):
        next(broken_off)
    rest = loop(tmp_path / "two").fit(4)
    assert plain(rest.records) == plain(whole.records)
    assert rest.problem.oracle.asked == 10  # the first three rounds were read, not run
    test = rest.problem.matrix[40:]
    assert np.array_equal(rest.predict_proba(test), whole.predict_proba(test))
    at_once = loop(tmp_path / "one")
    for record, expected in zip(at_once.run(4), picks_so_far(whole.records), strict=True):
        assert at_once.labelled()[0].tolist() == expected  # the loop is where the record is
        assert np.array_equal(at_once.fitted.classes_, whole.classes_)
        assert record is at_once.records[-1]
    assert np.array_equal(at_once.predict_proba(test), whole.predict_proba(test))
    read = loop(tmp_path / "one").fit(4)
    assert read.problem.oracle.asked == 0
    assert np.array_equal(read.predict_proba(test), whole.predict_proba(test))


PROGRAM = """
import hashlib, os, signal, sys
import numpy as np, embedpipe as ep
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, SGDClassifier

heads = {
    "cumulative": ep.get_head("nearest_mean"),
    "half_cumulative": LogisticRegression(warm_start=True, tol=0.1),
    "incremental": SGDClassifier(loss="log_loss", random_state=0),
    "replay": SGDClassifier(loss="log_loss", random_state=0),
}
left, plain = int(sys.argv[2]), os.fsync
def fsync(descriptor):
    global left
    left -= 1
    if left < 0: os.kill(os.getpid(), signal.SIGKILL)
    plain(descriptor)
os.fsync = fsync
X, y = load_digits(return_X_y=True)
for mode, head in heads.items():
    loop = ep.ActiveLoop.from_arrays(
        X[:600] / 16, y[:600], X[600:900] / 16, y[600:900], mode=mode, head=head,
        initial="random", initial_size=90, update_size=20, workspace=sys.argv[1],
        labelling=ep.active.OracleOptions(noise=0.1, abstain=0.1),
    ).fit(3)
    picks = np.concatenate([record.rows for record in loop.records])
    predicted = loop.predict_proba(X[900:] / 16)
    print(mode, *(hashlib.sha256(each.tobytes()).hexdigest()[:16] for each in (picks, predicted)))
    print([record.accuracy for record in loop.records], [record.cost for record in loop.records])
"""


@pytest.mark.slow
def test_a_killed_run_ends_the_same_in_every_mode(tmp_path: Path) -> None:
    def run(workspace: Path, left: int) -> tuple[int, str]:
        line = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(workspace), str(left)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    status, expected = run(tmp_path / "calm", 10_000)
    assert status == 0
    assert len(expected.splitlines()) == 8
    # Each round syncs two files and their folder: one kill falls into every mode.
    for left in (10, 18, 20, 20):
        assert run(tmp_path / "killed", left)[0] == -signal.SIGKILL
    assert run(tmp_path / "killed", 10_000) == (0, expected)
