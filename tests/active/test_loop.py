"""The active-learning loop: rounds, records, hidden labels and killed runs."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

import embedpipe as ep
from embedpipe.active import OracleOptions, Problem
from embedpipe.active.records import RunFolder
from embedpipe.errors import LabelError, RunError, SelectionError, UnknownNameError, UsageError
from embedpipe.strategies import Pool, Selection, Strategy, strategies


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    workspace = tmp_path_factory.mktemp("digits")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


def blobs(n: int = 120, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = 4 * rng.standard_normal((classes, 6))
    matrix = centres[labels] + rng.standard_normal((n, 6))
    return matrix.astype(np.float32), [f"c{label}" for label in labels]


def problem(n: int = 120, classes: int = 3) -> Problem:
    matrix, labels = blobs(n, classes)
    return Problem.from_arrays(matrix, labels, range(n - 40), range(n - 40, n))


def test_each_round_adds_a_batch_and_is_evaluated_on_the_test_rows(digits: ep.Embeddings) -> None:
    loop = ep.ActiveLoop(
        digits, strategy="margin", initial="random", initial_size=40, seed=3, head="logistic"
    )
    records = list(loop.run(rounds=3, batch_size=30))
    assert [record.round for record in records] == [0, 1, 2, 3]
    assert [record.labelled for record in records] == [40, 70, 100, 130]
    assert [record.strategy for record in records] == ["random", "margin", "margin", "margin"]
    picked = np.concatenate([record.rows for record in records])
    assert len(set(picked.tolist())) == 130
    assert {digits.items[row].split for row in picked} == {"train"}
    for record in records:
        assert [digits.items[row].label for row in record.rows] == record.labels.tolist()
    test = digits.rows("test")
    truth = [digits.items[row].label for row in test]
    head = ep.LogisticHead().fit(digits.matrix[picked], [digits.items[row].label for row in picked])
    predicted = head.predict(digits.matrix[test])
    assert records[-1].accuracy == pytest.approx(np.mean(predicted == truth))
    assert records[-1].macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_the_default_head_learns_from_the_candidates_without_a_label(digits: ep.Embeddings) -> None:
    loop = ep.ActiveLoop(digits, strategy="margin", initial="random", initial_size=40, seed=3)
    record = list(loop.run(rounds=1, batch_size=30))[-1]
    rows, labels = loop.labelled()
    train = digits.rows("train")
    rest = np.setdiff1d(train, rows)
    head = ep.AutoHead().fit(digits.matrix[rows], labels, unlabelled=digits.matrix[rest])
    assert record.head["choice"] == loop.fitted.choice_
    assert (head.n_unlabelled_, loop.fitted.n_unlabelled_) == (len(train) - 70, len(train) - 70)
    agreement = np.mean(head.predict(digits.matrix) == loop.fitted.predict(digits.matrix))
    assert agreement > 0.97  # the principal axes of the loop are those of all candidates


def test_the_labels_of_test_rows_change_only_the_measures() -> None:
    matrix, labels = blobs()
    wrong = [*labels[:80], *(["c0"] * 40)]
    runs = []
    for given in (labels, wrong):
        loop = ep.ActiveLoop(
            Problem.from_arrays(matrix, given, range(80), range(80, 120)), initial_size=6
        )
        runs.append(list(loop.run(rounds=3, batch_size=5)))
    for one, other in zip(*runs, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.scores.tolist() == other.scores.tolist()
        assert one.head == other.head
    assert runs[0][-1].accuracy != runs[1][-1].accuracy


def test_the_oracle_has_no_test_labels() -> None:
    made = problem()
    with pytest.raises(LabelError) as caught:
        made.oracle.label(np.array([3, 90]))
    assert str(caught.value) == ("row 90 has no label: leave it out of the candidates.")
    assert made.oracle.asked == 0


class RecordingStrategy(Strategy):
    """Keeps its pool."""

    name = "recording"

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        self.seen = pool
        return Selection(pool.unlabelled[:n], np.zeros(n, np.float32))


def test_a_strategy_receives_only_the_labels_of_labelled_rows() -> None:
    recording = RecordingStrategy()
    loop = ep.ActiveLoop(problem(), strategy=recording, initial="random", initial_size=7)
    first, *_ = loop.run(rounds=1, batch_size=4)
    assert recording.seen.labelled.tolist() == first.rows.tolist()
    assert recording.seen.labels is not None
    assert recording.seen.labels.tolist() == first.labels.tolist()
    assert set(recording.seen.unlabelled.tolist()) == set(range(80)) - set(first.rows.tolist())


def test_a_loop_can_start_with_one_label() -> None:
    loop = ep.ActiveLoop(problem(), strategy="entropy", initial="coreset", initial_size=1)
    records = list(loop.run(rounds=4, batch_size=1))
    assert [record.labelled for record in records] == [1, 2, 3, 4, 5]


def test_the_last_batch_has_the_remaining_candidates() -> None:
    loop = ep.ActiveLoop(problem(60), strategy="random", initial="random", initial_size=9)
    assert [record.labelled for record in loop.run(rounds=9, batch_size=8)] == [9, 17, 20]


def test_any_scikit_learn_classifier_is_a_head() -> None:
    head = LogisticRegression(C=3.0)
    loop = ep.ActiveLoop(problem(), head=head, initial_size=9)
    assert [record.labelled for record in loop.run(rounds=1, batch_size=3)] == [9, 12]
    assert not hasattr(head, "classes_")  # the loop fits copies


def test_picks_depend_on_the_seed() -> None:
    def picks(seed: int) -> list[int]:
        loop = ep.ActiveLoop(problem(), initial="random", initial_size=9, seed=seed)
        return [row for record in loop.run(2, 4) for row in record.rows.tolist()]

    assert picks(5) == picks(5)
    assert picks(5) != picks(6)


def plain(records: list[ep.RoundRecord]) -> list[dict[str, object]]:
    """Return records without the seconds, comparable with ``==``."""
    rows = []
    for record in records:
        fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
        del fields["select_seconds"], fields["fit_seconds"]
        fields["predictions"] = record.predictions.table(record.round).to_pylist()
        rows.append({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()})
    return rows


def test_a_run_continues_with_the_same_picks(digits: ep.Embeddings, tmp_path: Path) -> None:
    def loop(workspace: Path) -> ep.ActiveLoop:
        return ep.ActiveLoop(
            digits, strategy="coral", initial_size=20, head="logistic", workspace=workspace
        )

    whole = plain(list(loop(tmp_path / "one").run(rounds=4, batch_size=10)))
    broken_off = loop(tmp_path / "two").run(rounds=4, batch_size=10)
    next(broken_off), next(broken_off)
    rest = loop(tmp_path / "two")
    assert plain(list(rest.run(rounds=4, batch_size=10))) == whole
    assert rest.problem.oracle.asked == 30  # the first two rounds were read, not run
    again = loop(tmp_path / "two")
    assert plain(list(again.run(rounds=2, batch_size=10))) == whole[:3]
    assert again.problem.oracle.asked == 0
    assert [record.labelled for record in again.records] == [20, 30, 40]
    rows, labels = again.labelled()
    expected = ep.LogisticHead().fit(digits.matrix[rows], labels).coef_
    assert np.array_equal(again.fitted.coef_, expected)


def test_a_killed_run_ends_the_same(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, embedpipe as ep\n"
        "from pathlib import Path\n"
        "left, plain = int(sys.argv[2]), os.fsync\n"
        "def fsync(descriptor):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    plain(descriptor)\n"
        "train = ep.load_dataset('digits').subset('train')\n"
        "e = ep.embed(train, backbone='toy', workspace=sys.argv[1])\n"
        "os.fsync = fsync\n"
        "loop = ep.ActiveLoop(e, strategy='margin', initial_size=10, workspace=sys.argv[1])\n"
        "for record in loop.run(rounds=3, batch_size=5): print(record.rows.tolist())\n"
    )  # fmt: skip

    def run(workspace: Path, left: int) -> tuple[int, str]:
        line = [sys.executable, "-c", program, str(workspace), str(left)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    status, expected = run(tmp_path / "calm", 10_000)
    assert status == 0
    killed = 0
    for left in (0, 2, 3, 5, 9, 12):
        killed += run(tmp_path / "killed", left)[0] == -signal.SIGKILL
    assert killed >= 3
    assert run(tmp_path / "killed", 10_000) == (0, expected)


def test_the_files_of_a_run(digits: ep.Embeddings, tmp_path: Path) -> None:
    loop = ep.ActiveLoop(digits, initial_size=20, workspace=tmp_path)
    records = list(loop.run(rounds=1, batch_size=10))
    folder = tmp_path / "runs" / loop.run_id(10)
    config = json.loads((folder / "config.json").read_text())
    assert config["strategy"] == "margin"
    assert config["batch_size"] == 10
    assert config["head"]["class"] == "embedpipe.heads.auto.AutoHead"
    assert config["head"]["options"]["C"] == "auto"
    picks = pq.read_table(folder / "picks.parquet").to_pylist()
    assert len(picks) == 30
    for pick in picks:
        item = digits.items[pick["row"]]
        assert (pick["id"], json.loads(pick["label"])) == (item.id, item.label)
    assert pq.read_table(folder / "rounds.parquet")["accuracy"].to_pylist() == [
        record.accuracy for record in records
    ]


def test_a_damaged_run_is_an_error(digits: ep.Embeddings, tmp_path: Path) -> None:
    loop = ep.ActiveLoop(digits, initial_size=20, workspace=tmp_path)
    list(loop.run(rounds=1, batch_size=10))
    folder = tmp_path / "runs" / loop.run_id(10)
    (folder / "rounds.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        RunError, match="is damaged .* delete the folder, then run the same command"
    ):
        list(loop.run(rounds=1, batch_size=10))


def test_the_folder_of_another_run_is_an_error(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").start({"seed": 0})
    with pytest.raises(RunError) as caught:
        RunFolder(tmp_path / "run").start({"seed": 1})
    assert str(caught.value) == (
        f"{tmp_path}/run holds a run with other arguments. Choose another folder, or delete this "
        "one."
    )


def test_the_run_id_depends_on_every_argument(digits: ep.Embeddings) -> None:
    options: list[dict[str, object]] = [
        {}, {"seed": 1}, {"strategy": "entropy"}, {"initial": "random"}, {"initial_size": 51},
        {"head": ep.LogisticHead(C=1.0)}, {"skip": 1}, {"advice": "cheap"},
        {"labelling": OracleOptions(noise=0.1)}, {"labelling": OracleOptions(cost={"3": 2.0})},
        {"mode": "incremental", "head": SGDClassifier(loss="log_loss")},
        {"mode": "replay", "head": SGDClassifier(loss="log_loss")},
        {"mode": "replay", "head": SGDClassifier(loss="log_loss"), "buffer_size": 51},
    ]  # fmt: skip
    ids = [ep.ActiveLoop(digits, **each).run_id(50) for each in options]
    ids.append(ep.ActiveLoop(digits).run_id(51))
    assert ep.ActiveLoop(digits, batch_size=51).run_id() == ids[-1]
    assert len(set(ids)) == len(ids)
    assert ep.ActiveLoop(digits).run_id(50) == ids[0]
    assert ids[0].startswith("digits-coreset-margin-s0-")


def test_without_a_test_split_a_fifth_of_each_class_is_held_out(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    found = ep.embed(ep.load_dataset(str(photos(40, 2))), backbone="toy", workspace=tmp_path / "w")
    made = Problem.of(found, seed=0)
    assert len(made.test_rows) == 8
    assert sorted(made.test_labels.tolist()) == ["class0"] * 4 + ["class1"] * 4
    assert not set(made.test_rows) & set(made.candidates)
    assert len(made.candidates) == 32
    assert Problem.of(found, seed=1).test_rows.tolist() != made.test_rows.tolist()


def test_a_dataset_without_labels_is_an_error(photos: Callable[..., Path], tmp_path: Path) -> None:
    found = ep.embed(ep.load_dataset(str(photos(4, 1))), backbone="toy", workspace=tmp_path / "w")
    with pytest.raises(RunError) as caught:
        ep.ActiveLoop(found)
    assert str(caught.value) == (
        f"the dataset {found.dataset.name!r} has no labels for the simulated oracle: label "
        "images with `embedpipe label`, or sort them into one folder for each class."
    )


def test_options_that_are_not_valid_raise_an_error(digits: ep.Embeddings) -> None:
    with pytest.raises(UsageError, match="a LinearSVC gives no probabilities: wrap it in"):
        ep.ActiveLoop(digits, head=LinearSVC())
    with pytest.raises(UnknownNameError) as caught:
        ep.ActiveLoop(digits, mode="all")
    assert str(caught.value) == (
        "unknown mode 'all'. Known: cumulative, half_cumulative, incremental, replay."
    )
    with pytest.raises(UnknownNameError, match="unknown strategy 'margn'. Did you mean 'margin'?"):
        ep.ActiveLoop(digits, strategy="margn")
    with pytest.raises(UnknownNameError, match="unknown head 'logistik'. Did you mean 'logistic'?"):
        ep.ActiveLoop(digits, head="logistik")
    with pytest.raises(RunError, match="rounds must be at least 0, the sizes at least 1"):
        list(ep.ActiveLoop(digits).run(rounds=1, batch_size=0))
    with pytest.raises(SelectionError, match="strategy 'margin' needs labels"):
        list(ep.ActiveLoop(digits, initial="margin").run(rounds=1))
    with pytest.raises(RunError, match="row 4 is both a candidate and a test row"):
        Problem.from_arrays(np.eye(6, dtype=np.float32), list("abcabc"), [1, 4], [4])


def test_area_under_the_budget_curve() -> None:
    assert ep.area_under_budget_curve([100, 200, 400], [0.5, 0.7, 0.8]) == pytest.approx(0.7)
    assert ep.area_under_budget_curve([50], [0.4]) == 0.4


def test_the_upper_baseline_is_the_head_with_all_labels() -> None:
    made = problem()
    matrix, labels = blobs()
    head = ep.LogisticHead().fit(matrix[:80], labels[:80])
    expected = np.mean(head.predict(matrix[80:]) == np.array(labels[80:]))
    assert ep.ActiveLoop(made).upper_baseline() == pytest.approx(expected)


def test_select_takes_labels_by_item_id(digits: ep.Embeddings) -> None:
    train = [item for item in digits.items if item.split == "train"][:60]
    labels = {item.id: str(item.label) for item in train}
    picked = ep.select(digits, n=5, strategy="margin", labels=labels)
    assert {digits.items[row].split for row in picked.rows} == {"train"}
    assert not {digits.items[row].id for row in picked.rows} & set(labels)
    rows = [row for row, item in enumerate(digits.items) if item.id in labels]
    same = ep.select(
        digits.matrix, n=5, strategy="margin", labelled=rows,
        labels=[digits.items[row].label for row in rows], candidates=digits.rows("train"),
    )  # fmt: skip
    assert same.rows.tolist() == picked.rows.tolist()
    with pytest.raises(UsageError, match="labels by item id need the embeddings of a dataset"):
        ep.select(digits.matrix, n=5, strategy="margin", labels=labels)


def test_select_fits_the_head_only_if_the_strategy_needs_it() -> None:
    class Untouched(LogisticRegression):
        def fit(self, *args: object, **options: object) -> None:
            raise AssertionError("fitted")

    matrix, labels = blobs()
    picked = ep.select(
        matrix, n=3, strategy="coreset", labelled=[0, 1], labels=labels[:2], head=Untouched()
    )
    assert len(picked.rows) == 3


def test_train_and_predict(digits: ep.Embeddings, tmp_path: Path) -> None:
    train = [item for item in digits.items if item.split == "train"][:300]
    labels = {item.id: str(item.label) for item in train}
    head, accuracy = ep.train(digits, labels, output=tmp_path / "head.safetensors")
    test = digits.rows("test")
    truth = np.array([digits.items[row].label for row in test])
    assert accuracy == pytest.approx(np.mean(head.predict(digits.matrix[test]) == truth))
    prediction = ep.predict(digits, tmp_path / "head.safetensors")
    assert prediction.accuracy == accuracy
    assert prediction.labels.tolist() == head.predict(digits.matrix).tolist()
    assert prediction.probabilities.shape == (1797, 10)
    assert prediction.ids == tuple(item.id for item in digits.items)


def test_training_images_are_not_part_of_the_accuracy(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    found = ep.embed(ep.load_dataset(str(photos(12, 2))), backbone="toy", workspace=tmp_path / "w")
    labels = {item.id: str(item.label) for item in found.items}
    assert ep.train(found, labels)[1] is None
    held = found.items[0].id
    head, accuracy = ep.train(found, {k: v for k, v in labels.items() if k != held})
    assert accuracy == float(head.predict(found.matrix[:1])[0] == labels[held])


def test_a_head_for_other_vectors_raises_an_error(
    digits: ep.Embeddings, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(6, 2)
    one = ep.embed(
        ep.load_dataset(str(folder)), backbone="toy", workspace=tmp_path / "w", precision="fp32"
    )
    other = ep.embed(
        ep.load_dataset(str(folder)), backbone="toy", workspace=tmp_path / "w", precision="bf16"
    )
    ep.train(one, {i.id: str(i.label) for i in one.items}, output=tmp_path / "h.safetensors")
    with pytest.raises(UsageError) as caught:
        ep.predict(other, tmp_path / "h.safetensors")
    assert str(caught.value) == (
        f"{tmp_path}/h.safetensors was trained with another backbone or precision (spec "
        f"{one.spec.id[:12]}; these images have {other.spec.id[:12]}): use the same --backbone and "
        "--precision as for training."
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_picks_do_not_depend_on_the_number_of_threads(digits: ep.Embeddings) -> None:
    from threadpoolctl import threadpool_limits

    def picks(threads: int) -> list[int]:
        with threadpool_limits(threads):
            loop = ep.ActiveLoop(digits, strategy="coral", initial_size=30)
            return [row for record in loop.run(3, 20) for row in record.rows.tolist()]

    assert picks(1) == picks(2)


def test_copies_of_test_images_are_not_candidates(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(40, 2)
    for path in sorted(folder.rglob("*.jpg")):
        (path.parent / f"copy-{path.name}").write_bytes(path.read_bytes())
    found = ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    made = Problem.of(found, seed=0)
    test = {found.content_ids[row] for row in made.test_rows}
    pool = {found.content_ids[row] for row in made.candidates}
    assert len(made.test_rows) == 16
    assert len(test) == 8
    assert not test & pool


def test_labels_of_unreadable_images_are_left_out(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(6, 2)
    (folder / "class0" / "bad.jpg").write_text("no image")
    found = ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    labels = {item.id: str(item.label) for item in found.items[:4]} | {"class0/bad.jpg": "class0"}
    head, _ = ep.train(found, labels)
    assert head.classes_.tolist() == ["class0", "class1"]
    with pytest.raises(LabelError, match="is not in the dataset"):
        ep.train(found, {**labels, "class0/none.jpg": "class0"})


def test_a_fitted_head_is_fitted_again() -> None:
    matrix, labels = blobs()
    stale = LogisticRegression().fit(matrix[:60], labels[::-1][:60])
    fresh = LogisticRegression()
    picks = [
        [row for record in ep.ActiveLoop(problem(), head=head, initial_size=6).run(2, 5)
         for row in record.rows.tolist()]
        for head in (stale, fresh)
    ]  # fmt: skip
    assert picks[0] == picks[1]


def test_heads_with_different_options_have_different_run_ids(digits: ep.Embeddings) -> None:
    weights = {str(digit): 1.0 for digit in range(10)}
    heads = [
        LogisticRegression(class_weight=weights),
        LogisticRegression(class_weight={**weights, "4": 1.0000001}),
    ]
    ids = {ep.ActiveLoop(digits, head=head).run_id(50) for head in heads}
    assert len(ids) == 2
    with pytest.raises(RunError, match="cannot be part of the identity of a run"):
        ep.ActiveLoop(
            digits, head=LogisticRegression(random_state=np.random.RandomState(0))
        ).run_id(50)


def test_picks_that_do_not_fit_the_rounds_are_an_error(
    digits: ep.Embeddings, tmp_path: Path
) -> None:
    loop = ep.ActiveLoop(digits, initial_size=20, workspace=tmp_path)
    list(loop.run(rounds=2, batch_size=10))
    folder = tmp_path / "runs" / loop.run_id(10)
    table = pq.read_table(folder / "picks.parquet")
    pq.write_table(table.slice(0, 25), folder / "picks.parquet")
    with pytest.raises(RunError, match="its picks do not fit its rounds"):
        list(loop.run(rounds=2, batch_size=10))


def test_equal_strategies_have_one_run_id(digits: ep.Embeddings) -> None:
    def run_id(strategy: str | Strategy) -> str:
        return ep.ActiveLoop(digits, strategy=strategy).run_id(10)

    assert run_id("coral") == run_id("coral()") == run_id(ep.get_strategy("coral"))
    assert run_id("coral(uncertainty=entropy)") != run_id("coral")
    loop = ep.ActiveLoop(digits, strategy="combine( margin^2,diversity )")
    assert str(loop.strategy) == "combine(margin^2, diversity)"


def test_a_batch_that_ends_early_is_stored(digits: ep.Embeddings, tmp_path: Path) -> None:
    def loop() -> ep.ActiveLoop:
        return ep.ActiveLoop(
            digits,
            strategy="combine(margin, diversity(metric=euclidean, min_distance=0.6))",
            initial_size=30,
            workspace=tmp_path,
        )

    first = list(loop().run(rounds=1, batch_size=1000))
    assert first[0].labelled == 30
    assert 30 < first[1].labelled < 1030
    assert first[1].diagnostics["stopped"]
    again = list(loop().run(rounds=1, batch_size=1000))
    assert [record.rows.tolist() for record in again] == [r.rows.tolist() for r in first]


def test_hidden_options_are_part_of_the_run_id(
    digits: ep.Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Every(Strategy):
        """Every k-th row, with a hidden option."""

        name = "every"

        def __init__(self, *, k: int = 1) -> None:
            self._step = k

        def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
            return Selection(pool.unlabelled[:: self._step][:n], np.zeros(n, np.float32))

    def run_id(strategy: str | Strategy) -> str:
        return ep.ActiveLoop(digits, strategy=strategy).run_id(10)

    monkeypatch.setitem(strategies._entries, "every", Every)
    assert run_id("every(k=2)") != run_id("every(k=3)")
    assert run_id("every(k=2)") == run_id(Every(k=2))


def test_a_strategy_in_a_changed_file_has_another_run_id(
    digits: ep.Embeddings, tmp_path: Path
) -> None:
    file = tmp_path / "late.yaml"

    def run_id(uncertainty: str) -> str:
        file.write_text(f"strategy: coral\noptions: {{uncertainty: {uncertainty}}}\n")
        return ep.ActiveLoop(digits, strategy=f"auto(late='{file}')").run_id(10)

    assert run_id("entropy") != run_id("margin")


def test_a_head_without_probabilities_raises_an_error() -> None:
    matrix, labels = blobs()
    message = (
        "a LinearSVC gives no probabilities: wrap it in scikit-learn's CalibratedClassifierCV."
    )
    with pytest.raises(SelectionError) as caught:
        ep.select(matrix, 3, "margin", labelled=range(9), labels=labels[:9], head=LinearSVC())
    assert str(caught.value) == message
    pool = Pool(matrix, labelled=range(9), labels=labels[:9], head=LinearSVC())
    with pytest.raises(SelectionError) as caught:
        pool.probabilities()
    assert str(caught.value) == message


def test_a_loop_ends_without_selectable_candidates(digits: ep.Embeddings) -> None:
    strategy = "combine(margin, diversity(metric=euclidean, min_distance=0.6))"
    loop = ep.ActiveLoop(digits, strategy=strategy, initial_size=30)
    records = list(loop.run(rounds=9, batch_size=1000))
    assert 2 <= len(records) < 9
    assert records[-1].labelled < len(loop.problem.candidates)
