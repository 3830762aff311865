import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embedpipe._threads import blas_threads, map_blocks, one_blas_thread


def test_products_are_the_same_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 3000, 300)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threadpool_limits(count):
            found.append(map_blocks(lambda part: left[part] @ right.T, 3000, 700))
    assert [len(block) for block in found[0]] == [700, 700, 700, 700, 200]
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_inside_there_is_one_thread():
    with threadpool_limits(2):
        assert set(map_blocks(lambda part: blas_threads(), 6, 1)) == {1}
        assert blas_threads() == 2


def test_no_blocks():
    assert map_blocks(lambda part: part, 0, 5) == []


def test_errors_are_raised_and_the_limit_is_lifted():
    def work(part):
        raise ValueError(f"at {part.start}")

    with threadpool_limits(2):
        with pytest.raises(ValueError, match="at 0"):
            map_blocks(work, 100, 1)
        assert blas_threads() == 2


def test_overlapping_limits_are_lifted_by_the_last():
    first_in, first_may_go = threading.Event(), threading.Event()

    def first():
        with one_blas_thread():
            first_in.set()
            first_may_go.wait(90)

    with threadpool_limits(2):
        other = threading.Thread(target=first)
        other.start()
        assert first_in.wait(90)
        with one_blas_thread():
            first_may_go.set()
            other.join()
            assert blas_threads() == 1
        assert blas_threads() == 2


def test_calls_run_at_once():
    with threadpool_limits(2):
        meet = threading.Barrier(2, timeout=90)
        map_blocks(lambda part: meet.wait(), 2, 1)  # raises if they do not meet
