"""The contract of strategies."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from ..errors import SelectionError
from ..heads import LogisticHead
from ..index import ShardedMatrix
from ..strategies import Pool, Selection, Strategy, get_strategy, strategies
from ._suite import CheckReport, NotApplicable, Suite, raising

__all__ = ["check_strategy", "example_matrix", "example_pool", "strategy_checks"]

strategy_checks = Suite("strategy")
"""The checks of `check_strategy`; each takes the spec string of a registered strategy."""


def check_strategy(spec: str) -> CheckReport:
    """Check the contract of a strategy, given by its spec string.

    Raise `ContractError` if a check fails.

    Examples
    --------
    >>> print(check_strategy("random"))
    24 checks passed
    not applicable: block_size_does_not_change_the_selection: the option block_size is missing
    """
    return strategy_checks.run(spec)


def example_matrix() -> NDArray[np.float32]:
    """Return (60, 5) embeddings with duplicates and a constant column."""
    matrix = np.random.default_rng(3).standard_normal((60, 5)).astype(np.float32)
    matrix[40:50] = matrix[10:20]
    matrix[:, 2] = 0.5
    return matrix


def example_pool(
    matrix: NDArray[np.float32] | ShardedMatrix,
    labelled: ArrayLike = (0, 1),
    labels: ArrayLike | None = None,
    **options: Any,
) -> Pool:
    """Return a pool of `matrix` with labelled rows.

    The default label of a row is its number modulo 3. The head of the pool is fitted to the
    labelled rows at its first use. `options` are arguments of `Pool`.
    """
    rows = np.asarray(labelled, dtype=np.int64)
    known = rows % 3 if labels is None else labels

    def fitted() -> LogisticHead:
        return LogisticHead(C=10.0).fit(np.asarray(matrix[rows]), known)

    return Pool(matrix, labelled=rows, labels=known, head=fitted, **options)


def _kind(spec: str) -> type[Strategy]:
    return type(get_strategy(spec))


def _select(spec: str, pool: Pool, n: int, seed: int = 0) -> Selection:
    return get_strategy(spec).select(pool, n, np.random.default_rng(seed))


def _same(left: Selection, right: Selection) -> None:
    assert left.rows.tolist() == right.rows.tolist(), "the rows differ"
    assert left.scores.tolist() == right.scores.tolist(), "the scores differ"
    assert left.diagnostics.keys() == right.diagnostics.keys(), "the diagnostics differ"
    for key, value in left.diagnostics.items():
        np.testing.assert_array_equal(value, right.diagnostics[key])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        faiss.omp_set_num_threads(before)


@strategy_checks
def name_equals_the_registered_name(spec: str) -> None:
    kind = _kind(spec)
    assert strategies[kind.name] is kind, f"strategies[{kind.name!r}] is another class"
    assert isinstance(kind.needs_labels, bool), "needs_labels must be True or False"
    assert inspect.getdoc(kind), "the class has no docstring for `embedpipe list`"


@strategy_checks
def rows_in_several_files_give_the_same_selection(spec: str) -> None:
    matrix = example_matrix()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.npy" for number in range(3)]
        for path, part in zip(paths, np.split(matrix, [7, 45]), strict=True):
            np.save(path, part)
        shards = ShardedMatrix(paths)
        _same(_select(spec, example_pool(matrix), 9), _select(spec, example_pool(shards), 9))
        del shards


@strategy_checks
def selects_exactly_n_distinct_unlabelled_rows(spec: str) -> None:
    for n in (1, 7, 58):
        selection = _select(spec, example_pool(example_matrix(), labelled=[3, 44]), n)
        assert selection.rows.dtype == np.int64, "rows must be int64"
        assert selection.scores.dtype == np.float32, "scores must be float32"
        assert selection.rows.shape == selection.scores.shape == (n,), f"not {n} rows and scores"
        assert np.unique(selection.rows).size == n, "a row was selected twice"
        assert not np.isin(selection.rows, [3, 44]).any(), "a labelled row was selected"
        assert np.isfinite(selection.scores).all(), "scores must be finite"


@strategy_checks
def same_seed_gives_the_same_selection(spec: str) -> None:
    matrix = example_matrix()
    _same(_select(spec, example_pool(matrix), 20, 5), _select(spec, example_pool(matrix), 20, 5))


@strategy_checks
def number_of_threads_does_not_change_the_selection(spec: str) -> None:
    matrix = np.random.default_rng(0).standard_normal((3000, 96)).astype(np.float32)
    selections = []
    for count in (1, 2):
        with _threads(count):
            selections.append(_select(spec, example_pool(matrix), 200))
    _same(*selections)


@strategy_checks
def block_size_does_not_change_the_selection(spec: str) -> None:
    if "block_size" not in inspect.signature(_kind(spec)).parameters:
        raise NotApplicable("the option block_size is missing")
    first, *others = (
        get_strategy(spec, block_size=size).select(
            example_pool(example_matrix()), 30, np.random.default_rng(0)
        )
        for size in (1, 2, 7, 1000)
    )
    for other in others:
        _same(first, other)


@strategy_checks
def duplicates_do_not_shorten_a_batch_or_repeat_a_row(spec: str) -> None:
    vectors = np.random.default_rng(5).standard_normal((40, 6)).astype(np.float32)
    matrix = np.repeat(vectors, 2, axis=0)[np.random.default_rng(6).permutation(80)]
    rows = _select(spec, example_pool(matrix, labelled=[0, 1, 2]), 77).rows
    assert sorted(rows.tolist()) == list(range(3, 80)), "the strategy must select the whole pool"
    if _kind(spec).distinct:
        taken = {matrix[row].tobytes() for row in (0, 1, 2)}
        first = rows[: 40 - len(taken)]
        chosen = {matrix[row].tobytes() for row in first}
        assert len(chosen) == first.size, "`distinct` is True, but a copy was selected first"
        assert not chosen & taken, "`distinct` is True, but a copy of a labelled row was selected"


@strategy_checks
def inputs_are_not_changed(spec: str) -> None:
    matrix = example_matrix()
    labelled, labels, candidates = np.array([5, 2]), np.array([1, 0]), np.arange(40)
    arrays = [matrix, labelled, labels, candidates]
    before = [array.copy() for array in arrays]
    pool = example_pool(matrix, labelled=labelled, labels=labels, candidates=candidates)
    _select(spec, pool, 10)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert array.flags.writeable, "an input was made read-only"


@strategy_checks
def arrays_of_the_pool_stay_read_only(spec: str) -> None:
    pool = example_pool(example_matrix())
    _select(spec, pool, 3)
    for array in (
        np.asarray(pool.embeddings),
        pool.labelled,
        pool.labels,
        pool.candidates,
        pool.unlabelled,
    ):
        assert array is not None
        assert not array.flags.writeable, "an array of the pool was made writeable"


@strategy_checks
def equal_vectors_fill_the_batch(spec: str) -> None:
    for value in (0.0, 1000.1):
        matrix = np.full((30, 4), value, dtype=np.float32)
        rows = _select(spec, example_pool(matrix), 28).rows
        assert sorted(rows.tolist()) == list(range(2, 30)), f"not all rows of {value} were selected"


@strategy_checks
def works_with_one_class(spec: str) -> None:
    selection = _select(spec, example_pool(example_matrix(), labels=[4, 4]), 5)
    assert np.isfinite(selection.scores).all(), "scores must be finite with a single class"


@strategy_checks
def without_labels_it_selects_or_suggests_other_strategies(spec: str) -> None:
    pool, kind = Pool(example_matrix()), _kind(spec)
    if not kind.needs_labels:
        rows = np.unique(_select(spec, pool, 60).rows)
        assert rows.size == 60, "the strategy must select the whole pool"
        return
    free = ", ".join(sorted(k for k in strategies if not strategies[k].needs_labels))
    message = (
        f"strategy {kind.name!r} needs labels. Label some items first, or use a strategy that "
        f"needs no labels: {free}."
    )
    with raising(SelectionError, message):
        _select(spec, pool, 5)


def _refuses_damaged_rows(spec: str, value: float) -> None:
    for row in (0, 17):
        matrix = example_matrix()
        matrix[row, 3] = value
        message = (
            f"row {row} of the embeddings holds NaN or infinity: "
            "embed that item again or leave it out of the candidates."
        )
        with raising(SelectionError, message):
            _select(spec, example_pool(matrix, labelled=[0, 1]), 5)


@strategy_checks
def nan_is_refused_with_its_row(spec: str) -> None:
    _refuses_damaged_rows(spec, np.nan)


@strategy_checks
def infinity_is_refused_with_its_row(spec: str) -> None:
    _refuses_damaged_rows(spec, np.inf)
    _refuses_damaged_rows(spec, -np.inf)


@strategy_checks
def nan_outside_the_candidates_is_ignored(spec: str) -> None:
    matrix = example_matrix()
    matrix[59] = np.nan
    pool = example_pool(matrix, candidates=np.arange(50))
    assert _select(spec, pool, 48).rows.max() < 50, "a row outside the candidates was selected"


@strategy_checks
def only_candidates_are_selected(spec: str) -> None:
    candidates = [50, 7, 8, 30, 31, 9, 1]
    rows = _select(spec, example_pool(example_matrix(), candidates=candidates), 6).rows
    assert sorted(rows.tolist()) == [7, 8, 9, 30, 31, 50], "the strategy must select the candidates"


@strategy_checks
def order_of_candidates_does_not_matter(spec: str) -> None:
    matrix, ascending = example_matrix(), np.arange(40)
    descending = ascending[::-1].copy()
    _same(
        _select(spec, example_pool(matrix, candidates=ascending), 12),
        _select(spec, example_pool(matrix, candidates=descending), 12),
    )


@strategy_checks
def memory_map_gives_the_same_selection(spec: str) -> None:
    matrix = example_matrix()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "embeddings.npy", matrix)
        mapped = np.load(Path(folder) / "embeddings.npy", mmap_mode="r")
        _same(_select(spec, example_pool(matrix), 20), _select(spec, example_pool(mapped), 20))
        del mapped


def _refuses(spec: str, n: Any, message: str, **options: Any) -> None:
    with raising(SelectionError, message):
        _select(spec, example_pool(example_matrix(), **options), n)


@strategy_checks
def zero_items_are_refused(spec: str) -> None:
    _refuses(spec, 0, "`n` must be a whole number, at least 1; got 0.")


@strategy_checks
def negative_numbers_of_items_are_refused(spec: str) -> None:
    _refuses(spec, -3, "`n` must be a whole number, at least 1; got -3.")


@strategy_checks
def fractional_numbers_of_items_are_refused(spec: str) -> None:
    _refuses(spec, 2.5, "`n` must be a whole number, at least 1; got 2.5.")


@strategy_checks
def booleans_are_refused_as_numbers_of_items(spec: str) -> None:
    _refuses(spec, True, "`n` must be a whole number, at least 1; got True.")


@strategy_checks
def more_items_than_unlabelled_rows_are_refused(spec: str) -> None:
    _refuses(spec, 59, "`n` must be at most 58 (the unlabelled items); got 59.")


@strategy_checks
def pool_without_unlabelled_rows_is_refused(spec: str) -> None:
    _refuses(
        spec,
        1,
        "the pool of 2 items has no unlabelled items left to select.",
        candidates=[0, 1],
    )


@strategy_checks
def predictions_are_computed_once_for_unlabelled_rows_only(spec: str) -> None:
    if _kind(spec).needs_head:
        raise NotApplicable("the strategy needs the head, not only predictions")
    predicted: list[int] = []

    def probabilities(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        predicted.extend(rows.tolist())
        return np.full((rows.size, 2), 0.5)

    pool = Pool(example_matrix(), labelled=[4, 9], labels=[0, 1], probabilities=probabilities)
    _select(spec, pool, 3)
    _select(spec, pool, 5)
    once = not predicted or sorted(predicted) == pool.unlabelled.tolist()
    assert once, "predictions were computed twice, or for labelled rows"
