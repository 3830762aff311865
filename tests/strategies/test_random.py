import numpy as np

from embedpipe.strategies import Pool, get_strategy


def test_every_row_is_as_likely_and_seeds_differ():
    pool = Pool(np.zeros((10, 1), dtype=np.float32), labelled=[0])
    rng = np.random.default_rng(0)
    firsts = [get_strategy("random").select(pool, 3, rng).rows for _ in range(3000)]
    counts = np.bincount(np.concatenate(firsts), minlength=10)
    assert counts[0] == 0
    assert (abs(counts[1:] - 1000) < 120).all()  # 4.6 standard deviations
