"""Problems: imbalanced classes, files, and arrays of users."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score

import embedpipe as ep
from embedpipe.active import ActiveLoop, Problem
from embedpipe.errors import EmbedpipeError, LabelError, RunError, UnknownNameError, UsageError


def problem(sizes: dict[str, int], tests: int = 5) -> Problem:
    """Return a problem with the given numbers of candidates, and `tests` test rows a class."""
    labels = [name for name, size in sizes.items() for _ in range(size)]
    n = len(labels)
    labels += [*sizes] * tests
    matrix = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
    return Problem.from_arrays(matrix, labels, range(n), range(n, len(labels)))


def test_the_sizes_of_a_long_tail_fall_by_a_constant_factor() -> None:
    full = problem(dict.fromkeys("abcde", 160))
    tail = full.long_tailed(16, seed=1)
    assert sorted(tail.class_sizes.values(), reverse=True) == [160, 80, 40, 20, 10]
    assert set(tail.candidates.tolist()) <= set(full.candidates.tolist())
    assert (np.diff(tail.candidates) > 0).all()
    assert tail.test_rows.tolist() == full.test_rows.tolist()
    assert tail.index.candidates.tolist() == tail.candidates.tolist()
    assert tail.name == "arrays-tail16"
    with pytest.raises(LabelError, match="has no label: leave it out"):
        tail.oracle.label(np.setdiff1d(full.candidates, tail.candidates)[:1])


def test_a_long_tail_keeps_the_order_of_sizes_and_as_many_items_as_possible() -> None:
    # The ratios are 1 : 1/2 : 1/4. Class b, the second, has 30 items, so the first keeps 60.
    assert problem({"a": 24, "b": 30, "c": 99}).long_tailed(4).class_sizes == {
        "a": 15, "b": 30, "c": 60,
    }  # fmt: skip
    assert problem({"a": 3, "b": 40}).long_tailed(1).class_sizes == {"a": 3, "b": 3}
    assert problem({"a": 3, "b": 40}).long_tailed(1000).class_sizes == {"a": 1, "b": 40}


def test_rare_classes_and_kept_items_depend_on_the_seed() -> None:
    full = problem(dict.fromkeys("abcde", 160))
    tails = [full.long_tailed(16, seed=seed) for seed in range(6)]
    assert len({tuple(tail.class_sizes.items()) for tail in tails}) > 1
    assert len({tail.digest for tail in [*tails, full]}) == 7
    again = full.long_tailed(16, seed=0)
    assert again.digest == tails[0].digest
    assert again.candidates.tolist() == tails[0].candidates.tolist()


def test_one_class_can_be_made_rare() -> None:
    full = problem({"a": 20, "b": 20, "c": 20})
    rare = full.rare("b", 3, seed=2)
    assert rare.class_sizes == {"a": 20, "b": 3, "c": 20}
    assert rare.digest != full.digest
    assert rare.rare("c", 1).class_sizes == {"a": 20, "b": 3, "c": 1}
    with pytest.raises(UnknownNameError) as unknown:
        full.rare("d", 3)
    assert str(unknown.value) == "unknown class 'd'. Known: a, b, c."
    for n in (0, 21):
        with pytest.raises(RunError) as caught:
            full.rare("b", n)
        assert str(caught.value) == (
            f"n is {n}, but class 'b' has 20 candidates: give a number from 1 to 20."
        )
    with pytest.raises(RunError) as caught:
        full.long_tailed(0.5)
    assert str(caught.value) == "the ratio of a long tail is 0.5: give a number, at least 1."


def test_a_pool_is_a_random_share_of_the_candidates() -> None:
    full = problem({"a": 30, "b": 20})
    part = full.subsampled(0.8, seed=3)
    drawn = np.random.default_rng([3, 0x5AFE]).permutation(50)[:40]
    assert part.candidates.tolist() == sorted(full.candidates[drawn].tolist())
    assert part.test_rows.tolist() == full.test_rows.tolist()
    hats = int((drawn < 30).sum())
    assert part.class_sizes == {"a": hats, "b": 40 - hats}
    assert part.digest == full.subsampled(0.8, seed=3).digest
    assert len({full.digest, part.digest, full.subsampled(0.8, seed=4).digest}) == 3
    assert set(full.subsampled(0.5, seed=3).candidates) < set(part.candidates)
    assert full.subsampled(1, seed=3) is full
    assert full.subsampled(0.001).candidates.size == 1
    # The labels do not matter.
    renamed = problem({"x": 10, "y": 40})
    assert renamed.subsampled(0.8, seed=3).candidates.tolist() == part.candidates.tolist()
    for share in (0, 1.2, "much", True):
        with pytest.raises(UsageError) as caught:
            full.subsampled(share)  # type: ignore[arg-type]
        assert str(caught.value) == (
            "pool_share must be a share of the training images, above 0 and at most 1; got "
            f"{share!r}."
        )


def test_an_imbalanced_problem_has_its_own_run_id(tmp_path: Path) -> None:
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)
    full = Problem.of(digits, seed=0)
    rare = full.rare("7", 5)
    assert ActiveLoop(full).run_id() == ActiveLoop(digits).run_id()
    assert ActiveLoop(rare).run_id().startswith("digits-rare5-coreset-margin-s0-")
    assert ActiveLoop(rare).embeddings is digits
    assert rare.index.folder == full.index.folder == digits.folder / "index"
    ran = ActiveLoop(rare, initial="typiclust", initial_size=20, workspace=tmp_path).fit(1)
    assert sum(label == "7" for label in ran.labelled()[1]) <= 5
    assert rare.index.folder is not None
    kept = {json.loads(p.read_text())["candidates"] for p in rare.index.folder.glob("*/meta.json")}
    assert len(kept) == 1


# On disk


def test_a_saved_problem_of_embeddings_has_the_path_of_its_matrix(tmp_path: Path) -> None:
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path / "w")
    given = Problem.of(digits, seed=0).rare("3", 9)
    given.save(tmp_path / "p")
    assert not (tmp_path / "p" / "matrix.npy").exists()
    read = Problem.load(tmp_path / "p")
    assert isinstance(read.matrix, np.memmap)
    assert Path(str(read.matrix.filename)) == digits.folder / "embeddings.npy"
    assert (read.digest, read.name, read.spec_id) == (given.digest, given.name, given.spec_id)
    assert read.ids == given.ids
    assert read.index.folder == given.index.folder
    assert read.index.digest == given.index.digest
    assert read.class_sizes == given.class_sizes
    options = {"initial": "random", "initial_size": 20, "seed": 3, "advice": "cheap"}
    one, other = ActiveLoop(given, **options), ActiveLoop(read, **options)  # type: ignore[arg-type]
    assert one.run_id() == other.run_id()
    for before, after in zip(one.run(2), other.run(2), strict=True):
        assert before.rows.tolist() == after.rows.tolist()
        assert before.labels.tolist() == after.labels.tolist()
        assert (before.accuracy, before.ece) == (after.accuracy, after.ece)


def test_a_matrix_in_memory_is_written_once(tmp_path: Path) -> None:
    given = problem({"a": 20, "b": 20})
    given.save(tmp_path)
    written = (tmp_path / "matrix.npy").stat().st_mtime_ns
    given.save(tmp_path)
    assert (tmp_path / "matrix.npy").stat().st_mtime_ns == written
    read = Problem.load(tmp_path)
    assert np.array_equal(read.matrix, given.matrix)
    read.index.neighbours(2)
    again = Problem.load(tmp_path)
    assert again.index.folder == tmp_path / "index"
    assert any((tmp_path / "index").rglob("meta.json"))
    assert read.index.not_kept is None
    with pytest.raises(RunError) as caught:
        given.rare("a", 3).save(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds another problem: choose another folder."


def test_another_process_gives_the_same_run(tmp_path: Path) -> None:
    given = problem({"a": 40, "b": 40, "c": 40}, tests=9)
    given.save(tmp_path / "p")
    program = (
        "import sys; from pathlib import Path\n"
        "from embedpipe.active import ActiveLoop, Problem\n"
        "loop = ActiveLoop(Problem.load(Path(sys.argv[1])), initial='typiclust', batch_size=5,"
        " initial_size=9)\n"
        "print([(r.rows.tolist(), r.accuracy) for r in loop.run(2)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "p")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loop = ActiveLoop(given, initial="typiclust", batch_size=5, initial_size=9)
    assert done.stdout.strip() == str([(r.rows.tolist(), r.accuracy) for r in loop.run(2)])


def test_a_missing_problem_or_matrix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        Problem.load(tmp_path)
    assert str(caught.value) == f"there is no problem in {tmp_path}: save one there first."
    np.save(tmp_path / "m.npy", np.eye(4, dtype=np.float32))
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    Problem.from_arrays(mapped, list("abab"), [0, 1], [2, 3]).save(tmp_path / "p")
    np.save(tmp_path / "m.npy", np.eye(3, dtype=np.float32))
    with pytest.raises(RunError) as caught:
        Problem.load(tmp_path / "p")
    assert str(caught.value) == (
        f"the matrix {tmp_path}/m.npy has shape (3, 3), but the problem in {tmp_path}/p needs "
        "(4, 4): delete the folder and save the problem again."
    )
    (tmp_path / "m.npy").unlink()
    with pytest.raises(RunError, match="cannot be read .* delete the folder and save the problem"):
        Problem.load(tmp_path / "p")


# From arrays


def test_a_loop_from_arrays_equals_a_plain_loop() -> None:
    X, y = load_digits(return_X_y=True)
    X, truth = X / 16, y[1200:]
    loop = ActiveLoop.from_arrays(
        X[:1200], y[:1200], X[1200:], y[1200:], strategy="margin", initial="random",
        head=LogisticRegression(C=0.5), initial_size=40, update_size=30, skip=3, seed=11,
        advice="cheap",
    ).fit(rounds=5)  # fmt: skip
    chosen = loop.records[0].rows.tolist()
    X32 = X.astype(np.float32)
    for number, record in enumerate(loop.records):
        if number:
            rest = np.setdiff1d(np.arange(1200), chosen)
            top = np.sort(head.predict_proba(X32[rest]), axis=1)  # noqa: F821
            margins = top[:, -1] - top[:, -2]
            picks = rest[np.argsort(margins, kind="stable")[3:33]].tolist()
            assert record.rows.tolist() == picks
            chosen += picks
        head = LogisticRegression(C=0.5).fit(X32[chosen], y[chosen])
        predicted = head.predict(X32[1200:])
        assert loop.labelled()[0][: len(chosen)].tolist() == chosen
        assert loop.test_metrics["accuracy"][number] == pytest.approx(np.mean(predicted == truth))
        assert loop.test_metrics["macro_f1"][number] == pytest.approx(
            f1_score(truth, predicted, average="macro")
        )
        assert loop.test_metrics["balanced_accuracy"][number] == pytest.approx(
            balanced_accuracy_score(truth, predicted)
        )
        assert loop.most_informative[number].tolist() == record.rows[:16].tolist()
    assert loop.labeled_fractions.tolist() == [100 * (40 + 30 * r) / 1200 for r in range(6)]
    assert np.array_equal(loop.predict(X[1200:]), predicted)
    assert np.allclose(loop.predict_proba(X[1200:]), head.predict_proba(X[1200:]), atol=1e-5)
    assert loop.classes_.tolist() == list(range(10))


def test_fit_runs_until_only_skipped_candidates_are_left() -> None:
    X, y = load_digits(return_X_y=True)
    whole = ActiveLoop.from_arrays(
        X[:500], y[:500], X[500:700], y[500:700], head="nearest_mean", strategy="margin"
    ).fit()
    assert [record.labelled for record in whole.records] == [128, 256, 384, 500]
    assert whole.labelled_percent[-1] == 100
    assert whole.records[-1].accuracy == pytest.approx(whole.upper_baseline())
    short = ActiveLoop.from_arrays(
        X[:500], y[:500], head="nearest_mean", strategy="margin", skip=60
    ).fit()
    assert [record.labelled for record in short.records] == [128, 256, 384, 440]
    assert np.isnan(short.test_metrics["accuracy"]).all()
    assert short.upper_baseline() is None


def test_labels_and_rows_can_have_any_type() -> None:
    X, y = load_digits(return_X_y=True)
    picks = []
    for rows, labels in (
        (X, y),
        (X.astype(np.uint8), y.astype(np.uint8)),
        (X.tolist(), y.tolist()),
        (X.astype(np.float32), y.astype(float)),
        (X, y.astype(str)),
        (X, y.astype(object)),
        (X, y.astype(str).astype(object)),
        (X, y.astype("S")),
    ):
        loop = ActiveLoop.from_arrays(
            rows[:300], labels[:300], rows[300:400], labels[300:400], head="nearest_mean"
        ).fit(1)
        picks.append([record.rows.tolist() for record in loop.records])
        assert str(loop.predict(X[:1])[0]).removesuffix(".0") == "0"
    assert all(each == picks[0] for each in picks)


X3, Y3 = np.eye(3), ["a", "b", "a"]
WRONG = {
    "images": (
        (np.zeros((3, 2, 2)), Y3, X3, Y3), UsageError,
        "X_train has shape (3, 2, 2): give one vector for each row, such as "
        "X_train.reshape(len(X_train), -1).",
    ),
    "one row": (
        (X3, Y3, np.zeros(3), Y3), UsageError,
        "X_test has shape (3,): give one vector for each row.",
    ),
    "texts": (
        ([["a"]], ["a"], None, None), UsageError,
        "X_train has dtype <U1: give a matrix of real numbers.",
    ),
    "nothing": (
        (np.zeros((0, 2)), [], None, None), UsageError,
        "X_train has no rows: give at least one candidate.",
    ),
    "empty vectors": (
        (np.zeros((2, 0)), ["a", "b"], None, None), UsageError,
        "X_train has shape (2, 0): its vectors are empty.",
    ),
    "other features": (
        (X3, Y3, np.eye(4), [*Y3, "a"]), UsageError,
        "X_train has 3 columns and X_test has 4: give both the same features.",
    ),
    "half a test": (
        (X3, Y3, X3, None), UsageError,
        "y_test is missing: give both X_test and y_test, or neither.",
    ),
    "too few labels": (
        (X3, ["a", "b"], None, None), LabelError,
        "X_train has 3 rows, but y_train has 2 labels: give one for each row.",
    ),
    "one-hot labels": (
        (X3, np.eye(3), None, None), LabelError,
        "y_train has shape (3, 3): give one label for each row; for one-hot rows use "
        "`.argmax(axis=1)`.",
    ),
    "a column of labels": (
        (X3, [["a"], ["b"], ["a"]], None, None), LabelError,
        "y_train has shape (3, 1): give one label for each row; try `.ravel()`.",
    ),
    "a label that is missing": (
        (X3, ["a", None, "b"], None, None), LabelError,
        "row 1 of y_train has no label: leave out rows without a label.",
    ),
    "a label that is not a number": (
        (X3, Y3, X3, [1.0, 2.0, np.nan]), LabelError,
        "row 2 of y_test has no label: leave out rows without a label.",
    ),
    "labels of two kinds": (
        (X3, Y3, X3, [1, 2, 3]), LabelError,
        "y_train has texts, y_test has numbers: give the same kind.",
    ),
    "labels that are dates": (
        (X3, np.array(["2020-01-01"] * 3, "datetime64[D]"), None, None), LabelError,
        "y_train has dtype datetime64[D]: labels must be strings or numbers.",
    ),
    "NaN": (
        (X3, Y3, [[0, 0, 1], [0, np.nan, 0]], ["a", "b"]), LabelError,
        "row 1 of X_test holds NaN or infinity in float32: leave the row out, or fill in "
        "the missing values.",
    ),
    "beyond float32": (
        ([[1.0], [2.0], [1e60]], Y3, None, None), LabelError,
        "row 2 of X_train holds NaN or infinity in float32: leave the row out, or fill in "
        "the missing values.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(WRONG))
def test_arrays_that_do_not_fit_raise_an_error(case: str) -> None:
    arrays, kind, message = WRONG[case]
    with pytest.raises(EmbedpipeError) as caught:
        ActiveLoop.from_arrays(*arrays)
    assert str(caught.value) == message
    assert type(caught.value) is kind


def test_measures_on_the_test_rows_by_hand() -> None:
    # Test rows a a a b b c; the head knows a and b alone and says a a b b b b.
    class Fixed(LogisticRegression):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.column_stack([1 - X[:, 0], X[:, 0]])

    matrix = np.array([[0], [1], [0.1], [0.1], [0.7], [0.7], [0.7], [0.9]], dtype=np.float32)
    labels = ["a", "b", "a", "a", "a", "b", "b", "c"]
    posed = Problem.from_arrays(matrix, labels, [0, 1], range(2, 8))
    (record,) = ActiveLoop(posed, head=Fixed(), initial_size=2, advice="cheap").run(0)
    assert record.accuracy == pytest.approx(4 / 6)
    assert record.balanced_accuracy == pytest.approx((2 / 3 + 1 + 0) / 3)
    # F1 of a: 2·2/(3 + 2), of b: 2·2/(2 + 4), of c: 0.
    assert record.macro_f1 == pytest.approx((4 / 5 + 4 / 6 + 0) / 3)
    # Bins of 1/15: 0.7 holds three rows, two right; 0.9 holds three, two right.
    assert record.ece == pytest.approx((abs(2.1 - 2) + abs(2.7 - 2)) / 6, abs=1e-6)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 2, 2)), "`matrix` must have the shape (n, d); got (3, 2, 2)."),
        (np.zeros(3), "`matrix` must have the shape (n, d); got (3,)."),
        (np.array([["a"], ["b"]]), "`matrix` must contain real numbers; its dtype is <U1."),
    ],
)
def test_a_matrix_of_another_shape_is_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Problem.from_arrays(matrix, ["a"] * len(matrix), range(len(matrix)))
    assert str(caught.value) == message
