"""The continual-learning loop: methods, heads, interrupted runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedpipe.continual import ContinualLoop, Stream, policies
from embedpipe.embedding import Embeddings
from embedpipe.errors import RunError, UnknownNameError, UsageError
from embedpipe.experiments import ReplayStudy
from embedpipe.heads import LogisticHead, get_head, heads


def test_replay_is_between_naive_and_joint(digits: Embeddings) -> None:
    stream = Stream.of(
        digits, "classes", classes=[[str(2 * at), str(2 * at + 1)] for at in range(5)]
    )
    last = {
        method: ContinualLoop(stream, method=method, retain=0.1).fit().matrix[-1].mean()
        for method in ("naive", "replay", "cumulative", "joint")
    }
    assert last["naive"] < 0.3 < last["replay"] < last["joint"]
    assert last["cumulative"] == last["joint"]


def test_a_row_of_the_matrix_is_the_accuracy_of_a_head_fitted_by_hand(
    drifting: Callable[..., Stream],
) -> None:
    stream = drifting()
    loop = ContinualLoop(stream, method="cumulative", head="logistic(C=1.0)").fit()
    for number in range(4):
        rows = np.concatenate([each.train for each in stream.experiences[: number + 1]])
        head = LogisticHead(C=1.0).fit(stream.matrix[rows], stream.labels(rows))
        for other, each in enumerate(stream.experiences):
            right = head.predict(stream.matrix[each.test]) == stream.labels(each.test)
            assert loop.matrix[number, other] == right.mean()
    joint = ContinualLoop(stream, method="joint", head="logistic(C=1.0)").fit()
    assert np.isnan(joint.matrix[:3]).all()
    assert np.array_equal(joint.matrix[3], loop.matrix[3])
    assert joint.metrics["gem_accuracy"] == loop.matrix[3].mean()
    assert np.isnan(joint.metrics["clear_accuracy"])


@pytest.mark.parametrize("name", [n for n in heads if hasattr(heads[n], "partial_fit")])
def test_every_head_with_partial_fit_learns_a_stream(
    drifting: Callable[..., Stream], name: str
) -> None:
    stream = drifting()
    loop = ContinualLoop(stream, head=name, retain=0.2).fit()
    exact = getattr(get_head(name), "exact_on_streams", False)
    assert loop.options.method_name == ("naive" if exact else "replay")
    assert [record.replayed > 0 for record in loop.records] == [False, *[not exact] * 3]
    assert loop.matrix.shape == (4, 4)
    assert loop.matrix[3].mean() > 0.6
    if exact:
        joint = ContinualLoop(stream, head=name, method="joint").fit()
        assert np.allclose(joint.matrix[3], loop.matrix[3])


@pytest.mark.parametrize("name", list(policies))
def test_every_policy_is_reproducible(drifting: Callable[..., Stream], name: str) -> None:
    loops = [ContinualLoop(drifting(), policy=name, retain=12, seed=3).fit() for _ in range(2)]
    assert [record.kept for record in loops[0].records] == [12] * 4
    assert np.array_equal(loops[0].matrix, loops[1].matrix)
    assert np.array_equal(loops[0].memory.rows, loops[1].memory.rows)
    learned = np.concatenate([each.train for each in loops[0].stream.experiences])
    assert np.isin(loops[0].memory.rows, learned).all()


def test_balanced_gives_buffer_and_new_rows_equal_weight(
    drifting: Callable[..., Stream],
) -> None:
    stream = drifting()
    options: dict[str, Any] = {"head": "logistic(C=1.0)", "retain": 0.1}
    loop = ContinualLoop(stream, mix="balanced", **options)
    records = loop.run()
    next(records)
    kept, new = loop.memory.rows, stream.experiences[1].train
    next(records)
    rows = np.concatenate([kept, new])
    weights = np.concatenate([np.full(kept.size, new.size / kept.size), np.ones(new.size)])
    head = LogisticHead(C=1.0).fit(stream.matrix[rows], stream.labels(rows), sample_weight=weights)
    assert np.allclose(loop.fitted.coef_, head.coef_, atol=2e-3)
    assert not np.array_equal(loop.matrix, ContinualLoop(stream, **options).fit().matrix)


def test_heads_do_not_receive_later_rows(drifting: Callable[..., Stream]) -> None:
    matrices = []
    for shift in (0.0, 5.0):
        stream = drifting(protocol="streaming")
        moved = stream.matrix.copy()
        moved[stream.experiences[3].train] += shift
        other = replace(stream, matrix=moved)
        options: dict[str, Any] = {"head": "label_propagation", "budget": 10, "strategy": "random"}
        matrices.append(ContinualLoop(other, method="cumulative", **options).fit().matrix[:, :3])
    assert np.array_equal(matrices[0], matrices[1], equal_nan=True)


def test_the_upper_baseline_of_another_division_is_equal_but_not_shared(
    digits: Embeddings,
) -> None:
    loops = [
        ContinualLoop(Stream.of(digits, "random", n=n, seed=n), method="joint").fit()
        for n in (3, 4)
    ]
    first, second = (loop.fitted for loop in loops)
    assert first is not second
    if np.array_equal(*(np.sort(rows_learned(loop)) for loop in loops)):
        assert np.array_equal(first.coef_, second.coef_)
    fresh = LogisticHead().fit(
        digits.matrix[rows_learned(loops[0])], loops[0].stream.labels(rows_learned(loops[0]))
    )
    assert np.array_equal(first.coef_, fresh.coef_)


def rows_learned(loop: ContinualLoop) -> np.ndarray:
    return np.concatenate([each.train for each in loop.stream.learned])


def test_the_seed_is_passed_to_a_random_head(drifting: Callable[..., Stream]) -> None:
    heads_ = [
        ContinualLoop(drifting(), head="mlp(hidden=8)", method="joint", seed=seed).fit().fitted
        for seed in (0, 1)
    ]
    assert not np.array_equal(heads_[0].hidden_coef_, heads_[1].hidden_coef_)


def test_in_streaming_training_rows_are_never_a_test(drifting: Callable[..., Stream]) -> None:
    loop = ContinualLoop(drifting(protocol="streaming")).fit()
    assert len(loop.records) == 3  # nothing comes after the last
    known = np.isfinite(loop.matrix)
    assert np.array_equal(known, np.triu(np.ones((4, 4), dtype=bool), 1))
    assert loop.metrics["clear_next_domain"] == np.diag(loop.matrix, 1).mean()
    assert np.isnan(loop.metrics["clear_in_domain"])


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("head", ["logistic", "mlp(hidden=8)", "slda"])
def test_an_interrupted_run_resumes_with_the_same_result(
    drifting: Callable[..., Stream], tmp_path: Path, stop: int, head: str
) -> None:
    options: dict[str, Any] = {"head": head, "budget": 10, "strategy": "margin", "retain": 0.5}
    whole = ContinualLoop(drifting(), **options).fit()
    first = ContinualLoop(drifting(), workspace=tmp_path, **options)
    for _, _ in zip(range(stop), first.run(), strict=False):
        pass
    again = ContinualLoop(drifting(), workspace=tmp_path, **options).fit()
    assert np.array_equal(again.matrix, whole.matrix)
    assert np.array_equal(again.memory.rows, whole.memory.rows)
    assert again.records[0].fit_seconds == first.records[0].fit_seconds  # read, not learned again
    assert again.folder is not None
    left = {path.name for path in again.folder.iterdir()}
    assert left == {
        "config.json", "experiences.parquet", "buffer-3.parquet", "labelled-3.parquet",
        "head-3.safetensors",
    }  # fmt: skip


def test_a_kill_between_any_two_files_loses_at_most_an_experience(
    drifting: Callable[..., Stream], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe.continual import records

    whole = ContinualLoop(drifting()).fit().matrix
    real, calls = records.write_parquet, 0

    class KilledError(BaseException):
        pass

    def killing(path: Path, table: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            raise KilledError
        real(path, table)

    monkeypatch.setattr(records, "write_parquet", killing)
    for _ in range(12):
        try:
            found = ContinualLoop(drifting(), workspace=tmp_path).fit().matrix
            break
        except KilledError:
            continue
    assert np.array_equal(found, whole)


def test_a_run_with_a_head_that_cannot_be_saved_starts_again(
    drifting: Callable[..., Stream], tmp_path: Path
) -> None:
    head = "sklearn.naive_bayes:GaussianNB"
    whole = ContinualLoop(drifting(), head=head).fit().matrix
    next(iter(ContinualLoop(drifting(), head=head, workspace=tmp_path).run()))
    found = ContinualLoop(drifting(), head=head, workspace=tmp_path).fit()
    assert np.array_equal(found.matrix, whole)
    read = ContinualLoop(drifting(), head=head, workspace=tmp_path).fit()
    assert np.array_equal(read.matrix, whole)


def test_the_budget_limits_the_labels(drifting: Callable[..., Stream]) -> None:
    loop = ContinualLoop(drifting(), budget=7, strategy="margin", retain=0.5).fit()
    assert [record.labelled for record in loop.records] == [7, 14, 21, 28]
    assert [record.learned for record in loop.records] == [7] * 4
    assert [record.kept for record in loop.records] == [4, 8, 12, 16]
    other = ContinualLoop(drifting(), budget=7, strategy="random", retain=0.5).fit()
    assert not np.array_equal(loop.matrix, other.matrix)


def test_the_files_of_a_run_are_plain_parquet_and_json(
    drifting: Callable[..., Stream], tmp_path: Path
) -> None:
    loop = ContinualLoop(drifting(), retain=6, workspace=tmp_path).fit()
    assert loop.folder is not None
    rows = pq.read_table(loop.folder / "experiences.parquet").to_pylist()
    assert [row["accuracies"] for row in rows] == loop.matrix.tolist()
    kept = pq.read_table(loop.folder / "buffer-3.parquet").to_pylist()
    assert [row["row"] for row in kept] == loop.memory.rows.tolist()
    assert {row["label"] for row in kept} <= {"hat", "shoe", "sock"}
    config = json.loads((loop.folder / "config.json").read_text())
    assert config["method"] == "replay"
    (loop.folder / "experiences.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(RunError, match=r"is damaged .* delete the folder"):
        ContinualLoop(drifting(), retain=6, workspace=tmp_path).fit()


def refusal(stream: Stream, **options: Any) -> str:
    with pytest.raises(UsageError) as error:
        ContinualLoop(stream, **options)
    return str(error.value)


def test_invalid_options_are_refused_in_one_line(drifting: Callable[..., Stream]) -> None:
    stream = drifting()
    least = min(stream.experiences, key=lambda each: each.train.size)
    assert refusal(stream, budget=50) == (
        f"the budget is 50 labels, but experience {least.name!r} has {least.train.size} rows to "
        f"label: give 1 to {least.train.size}."
    )
    total = sum(each.train.size for each in stream.experiences)
    assert refusal(stream, retain=5000) == (
        f"the buffer has 5000 rows, but the stream has only {total} training rows: give fewer "
        "rows, or use method cumulative, which keeps all rows."
    )
    assert refusal(stream, head="slda", method="replay") == (
        "SLDAHead is exact on streams and would count replayed rows twice: use method naive, which "
        "gives the same head as all rows at once."
    )
    assert refusal(stream, head="label_propagation") == (
        "method replay needs a head with partial_fit, which LabelPropagationHead does not have: "
        "use method cumulative or joint, or a head such as logistic or slda."
    )
    assert "needs labels, and there are none" in refusal(stream, budget=5, initial="margin")
    for name, option in (("method", {"method": "repaly"}), ("mix", {"mix": "half"})):
        with pytest.raises(UnknownNameError, match=f"unknown {name}"):
            ContinualLoop(stream, **option)
    assert "seed must be a whole number, at least 0; got -1" in refusal(stream, seed=-1)


def test_policy_none_has_no_buffer(drifting, tmp_path):
    stream = drifting()
    naive = ContinualLoop(stream, method="naive").fit()
    loop = ContinualLoop(stream, policy="none").fit()
    assert loop.options.method_name == "naive"
    assert loop.memory.rows.size == 0
    assert np.array_equal(loop.matrix, naive.matrix)
    assert loop.run_id == naive.run_id
    with pytest.raises(UsageError, match="^method 'replay' needs a buffer, and policy 'none' h"):
        ContinualLoop(stream, policy="none", method="replay")
    options = {"heads": ["logistic"], "retains": [0.1], "seeds": 1, "workspace": tmp_path}
    study = ReplayStudy(stream, policies=["none", "el2n"], reference_methods=["joint"], **options)
    learned = [cell.setting.learned for cell in study.cells()]
    assert learned == ["el2n, 10 %", "random, 10 %", "naive", "joint"]
    alone = ReplayStudy(stream, policies=["none"], reference_methods=[], **options)
    assert [cell.setting.learned for cell in alone.cells()] == ["random, 10 %", "naive"]
