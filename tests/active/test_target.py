"""Targets of selections and loops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.active import Target
from embedpipe.errors import SelectionError, UsageError


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    return ep.embed(
        ep.load_dataset("digits"),
        backbone="toy",
        precision="fp32",
        workspace=tmp_path_factory.mktemp("workspace"),
    )


def test_a_split_is_a_target_without_its_labels(digits: ep.Embeddings) -> None:
    target = Target.of("test", digits)
    rows = digits.rows("test")
    assert (target.name, len(target)) == ("test", rows.size)
    np.testing.assert_array_equal(target.vectors, digits.matrix[rows])
    assert target.count_of(digits.content_ids) == rows.size
    assert target.count_of([]) == 0
    unlabelled = digits.with_labels({})
    assert Target.of("test", unlabelled) == target
    by_name = ep.select(digits, 5, "auto", target="test")
    by_vectors = ep.select(digits, 5, "auto", target=digits.matrix[rows])
    assert by_name.rows.tolist() == by_vectors.rows.tolist()


def test_equal_targets_have_equal_digests(digits: ep.Embeddings) -> None:
    vectors = np.arange(6.0).reshape(3, 2)
    pool = np.zeros((4, 2), np.float32)
    one, other = Target.of(vectors, pool), Target.of(vectors.astype(np.float32), pool)
    assert one == other
    assert one.name == "arrays"
    assert Target.of(one, pool) is one
    assert Target.of(vectors + 1, pool) != one
    assert Target.of("train", digits).digest != Target.of("test", digits).digest


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("val", "'digits' has no images in a split 'val': its splits are test, train."),
    ],
)
def test_unknown_splits_are_refused(digits: ep.Embeddings, given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ep.select(digits, 2, "auto", target=given)
    assert str(caught.value) == message


def test_a_split_needs_a_dataset_and_a_target_the_same_spec(
    digits: ep.Embeddings, photos: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        ep.select(np.zeros((3, 2), np.float32), 1, "auto", target="test")
    assert str(caught.value) == (
        "target is 'test': a split needs the embeddings of a dataset. Give vectors."
    )
    other = ep.embed(photos(3), backbone="toy", precision="bf16", workspace=tmp_path)
    with pytest.raises(UsageError) as caught:
        Target.of(other, digits)
    assert str(caught.value) == (
        f"the target {other.dataset.name!r} has the embedding spec {other.spec.id[:12]}, but the "
        f"pool has {digits.spec.id[:12]}: embed both with the same backbone and precision."
    )


@pytest.fixture(scope="module")
def halves() -> tuple[ep.Problem, np.ndarray]:
    """Two classes left and right of 0; the target, not in the problem, is at the top of each."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (200, 2)).astype(np.float32)
    points[:, 0] += np.where(np.arange(200) % 2, 5, -5)
    labels = np.where(np.arange(200) % 2, "right", "left")
    target = points[points[:, 1] > 1] + np.float32(0.01)
    return ep.Problem.from_arrays(points, labels, range(150), range(150, 200)), target


def test_the_picks_of_a_loop_represent_the_target(halves: tuple[ep.Problem, np.ndarray]) -> None:
    problem, target = halves
    strategy = "auto(early='max_herding(metric=euclidean)', late='max_herding(metric=euclidean)')"
    options = {"strategy": strategy, "initial": strategy, "initial_size": 4, "batch_size": 4}
    aimed = ep.ActiveLoop(problem, target=target, **options)
    plain = ep.ActiveLoop(problem, **options)
    heights = [
        problem.matrix[np.concatenate([each.rows for each in loop.run(2)]), 1].mean()
        for loop in (aimed, plain)
    ]
    assert heights[0] > 1 > 0.5 > heights[1]


def test_run_ids_contain_the_target(halves: tuple[ep.Problem, np.ndarray], tmp_path: Path) -> None:
    problem, target = halves
    options = {"strategy": "auto", "initial": "auto", "initial_size": 4, "batch_size": 4}
    loops = [
        ep.ActiveLoop(problem, target=each, workspace=tmp_path, **options)
        for each in (None, target, target[1:])
    ]
    assert len({loop.run_id() for loop in loops}) == 3
    assert loops[0].run_id() == ep.ActiveLoop(problem, **options).run_id()
    for loop in loops:
        first = [record.rows.tolist() for record in loop.run(1)]
        again = ep.ActiveLoop(loop.problem, workspace=tmp_path, **options)
        assert [record.rows.tolist() for record in again.run(1)] == first
    folder = tmp_path / "problem"
    loops[1].problem.save(folder)
    loaded = ep.Problem.load(folder)
    assert loaded.target == loops[1].problem.target
    assert loaded.digest == loops[1].problem.digest
    np.testing.assert_array_equal(loaded.target.vectors, target)
    assert loaded.rare("left", 5).target == loaded.target


def test_a_loop_refuses_strategies_without_a_target_except_random(
    halves: tuple[ep.Problem, np.ndarray],
) -> None:
    problem, target = halves
    with pytest.raises(SelectionError, match="^strategy 'margin' does not use a target: use one"):
        ep.ActiveLoop(problem, target=target)  # the default strategies are margin and coreset
    random = {"strategy": "random", "initial": "random", "initial_size": 5}
    rows = [
        next(ep.ActiveLoop(problem, target=each, **random).run(0)).rows.tolist()
        for each in (None, target)
    ]
    assert rows[0] == rows[1]


def test_the_labels_of_a_target_are_not_used(digits: ep.Embeddings) -> None:
    options = {"strategy": "auto", "initial": "auto", "initial_size": 20, "batch_size": 10}
    labels = {item.id: str(item.label) for item in digits.items}
    changed = {item.id: "7" if item.split == "test" else str(item.label) for item in digits.items}
    rows = []
    for each in (labels, changed):
        loop = ep.ActiveLoop(digits.with_labels(each), target="test", **options)
        rows.append([record.rows.tolist() for record in loop.run(2)])
        assert loop.problem.test_items_in_target == len(loop.problem.test_rows) == 397
    assert rows[0] == rows[1]
    other = ep.ActiveLoop(digits, target=digits.matrix[:20], **options)
    assert other.problem.test_items_in_target == 0
