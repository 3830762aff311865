"""Random replay policies: distributions of the kept rows."""

import numpy as np
import pytest
from scipy import stats

from embedpipe.continual.memory import ExperienceBatch, Fixed, Memory, Share
from embedpipe.continual.policy import get_policy, random_of_rows

DRAWS = 10_000
ALPHA = 1e-3


def experiences(parts, codes=None):
    """Return the experience batches of arrays of rows."""
    found, total = [], 0
    for number, part in enumerate(parts):
        rows = np.asarray(part, dtype=np.int64)
        total += rows.size
        known = np.zeros(rows.size, dtype=np.int64) if codes is None else codes[rows]
        vectors = np.zeros((rows.size, 1), dtype=np.float32)
        found.append(ExperienceBatch(number, rows, known, vectors, None, total))
    return found


def remember(policy, stream, size, seed=0):
    """Return the memory after all of a stream."""
    memory = Memory.empty()
    for seen in stream:
        memory = policy.update(memory, seen, size, np.random.default_rng(seed))
    return memory


def keep(policy, parts, size, seed=0, codes=None):
    return remember(policy, experiences(parts, codes), size, seed)


def p_of_uniform(counts, kept):
    """Return the p-value of every row being equally likely in samples of `kept` rows.

    The counts of a sample without replacement have covariance proportional to I - 11'/N, scaled
    by N/(N - 1): hence the factor in front.
    """
    n, share = counts.size, kept / counts.size
    statistic = np.square(counts - DRAWS * share).sum() / (DRAWS * share * (1 - share))
    return stats.chi2.sf((n - 1) / n * statistic, n - 1)


PARTS = [[5, 3, 0, 9, 1], [2, 4, 11, 8, 7, 6, 10]]


@pytest.mark.parametrize(("name", "cuts"), [("reservoir", [5_000, 70_000]), ("random", [])])
def test_the_arrival_of_a_row_does_not_change_its_probability(name, cuts):
    """Of 120,000 rows 10,000 are kept, the same number of each twelfth of the stream."""
    order = np.random.default_rng(0).permutation(12 * DRAWS)
    kept = keep(get_policy(name), np.split(order, cuts), Fixed(DRAWS))
    counts = np.bincount(np.argsort(order)[kept.rows] // DRAWS, minlength=12)
    # Without replacement the variance is smaller than that of a multinomial by this factor.
    statistic = np.square(counts - DRAWS / 12).sum() / (DRAWS / 12)
    assert stats.chi2.sf((12 * DRAWS - 1) / (11 * DRAWS) * statistic, 11) > ALPHA


def test_every_row_of_a_class_has_the_same_probability():
    """Each of 10,000 classes has 12 rows in two experiences, of which 3 are kept."""
    order = np.random.default_rng(0).permutation(12 * DRAWS)
    parts = np.split(order, [50_000])
    kept = keep(get_policy("class_balanced"), parts, Fixed(3 * DRAWS), codes=order // 12)
    assert (np.bincount(kept.codes) == 3).all()
    arrival = np.argsort(np.concatenate(parts))[kept.rows]
    codes = (order // 12)[np.concatenate(parts)]
    place = np.empty(12 * DRAWS, dtype=np.int64)  # which row of its class came when
    place[np.argsort(codes, kind="stable")] = np.tile(np.arange(12), DRAWS)
    assert p_of_uniform(np.bincount(place[arrival], minlength=12), 3) > ALPHA


@pytest.mark.parametrize(
    ("spec", "parts", "chances"),
    [
        ("biased_reservoir(alpha=0.6)", [PARTS[0] + PARTS[1]], [0.6]),
        ("biased_reservoir(alpha=1.2, scaled=true)", PARTS, [1.0, 0.6]),
    ],
)
def test_a_biased_reservoir_follows_its_formula(spec, parts, chances):
    """A row enters with probability p and survives each later row with 1 - p/n."""
    n = 3
    order = [row for part in parts for row in part]
    p = [chance for chance, part in zip(chances, parts, strict=True) for _ in part]
    expected = np.empty(12)
    for at, row in enumerate(order):
        survives = np.prod([1 - p[later] / n for later in range(max(at + 1, n), 12)])
        expected[row] = (1.0 if at < n else p[at]) * survives
    assert expected.sum() == pytest.approx(n)

    policy, stream, chosen = get_policy(spec), experiences(parts), np.random.default_rng(123)
    counts = np.zeros(12)
    for seed in range(DRAWS):
        counts[remember(policy, stream, Fixed(n), seed).rows[chosen.integers(n)]] += 1
    # One row of each sample: the counts are multinomial.
    assert stats.chisquare(counts, DRAWS * expected / n).pvalue > ALPHA
    assert stats.chisquare(counts).pvalue < 1e-9  # which is far from uniform


@pytest.mark.parametrize("name", ["reservoir", "class_balanced"])
def test_order_and_experiences_do_not_change_the_kept_rows(name):
    rng = np.random.default_rng(4)
    codes, rows = rng.integers(0, 5, 200), rng.permutation(200)
    policy = get_policy(name)
    whole = keep(policy, [rows], Fixed(30), codes=codes)
    for _ in range(20):
        cuts = np.sort(rng.integers(0, 201, rng.integers(1, 9)))
        parts = np.split(rng.permutation(200), cuts)
        other = keep(policy, parts, Fixed(30), codes=codes)
        assert other.rows.tolist() == whole.rows.tolist()
        assert other.keys.tolist() == whole.keys.tolist()


def test_a_reservoir_keeps_the_smallest_keys_of_all_rows():
    rows = np.arange(100)
    keys = random_of_rows(rows, np.random.default_rng(7))
    kept = keep(get_policy("reservoir"), [rows[:10], rows[10:90], rows[90:]], Fixed(12), seed=7)
    assert kept.rows.tolist() == sorted(np.argsort(keys)[:12].tolist())


def test_balanced_by_experience_is_random_where_the_size_is_fixed():
    parts = np.split(np.random.default_rng(0).permutation(90), [40, 45, 70])
    for n in (1, 3, 20, 50):
        left = keep(get_policy("random"), parts, Fixed(n))
        right = keep(get_policy("experience_balanced"), parts, Fixed(n))
        assert left.rows.tolist() == right.rows.tolist()


def test_with_a_share_experience_balanced_differs_from_random():
    parts = np.split(np.arange(120), [90])
    assert keep(get_policy("random"), parts, Share(0.1)).counts(2).tolist() == [9, 3]
    assert keep(get_policy("experience_balanced"), parts, Share(0.1)).counts(2).tolist() == [6, 6]


def test_with_a_share_a_reservoir_grows():
    parts = np.split(np.arange(400), [100, 300])
    found = [keep(get_policy("reservoir"), parts[:n], Share(0.05)).rows.size for n in range(1, 4)]
    assert found == [5, 15, 20]


def test_classes_are_balanced_as_far_as_possible():
    codes = np.array([0] * 50 + [1] * 3 + [2] * 20 + [3] * 40)
    parts = [np.arange(50), np.arange(50, 73), np.arange(73, 113)]
    found = [
        np.bincount(keep(get_policy("class_balanced"), parts[:n], Fixed(15), codes=codes).codes)
        for n in range(1, 4)
    ]
    assert [each.tolist() for each in found] == [[15], [6, 3, 6], [4, 3, 4, 4]]


def test_a_new_row_enters_gdumb_in_place_of_the_largest_class_by_hand():
    codes = np.array([0, 0, 0, 0, 1, 2, 0, 1, 2])
    policy = get_policy("gdumb")

    def state(came):
        kept = keep(policy, [np.arange(came)], Fixed(4), codes=codes)
        return kept.rows.tolist(), np.bincount(kept.codes, minlength=3).tolist()

    draws = random_of_rows(np.arange(9), np.random.default_rng(0), "leaving")
    assert state(4) == ([0, 1, 2, 3], [4, 0, 0])
    zeros = [0, 1, 2, 3]
    zeros.pop(int(draws[4] * 4))  # the class is new: one of class 0 leaves
    assert state(5) == ([*zeros, 4], [3, 1, 0])
    zeros.pop(int(draws[5] * 3))  # new again
    assert state(6) == ([*zeros, 4, 5], [2, 1, 1])
    assert state(7) == ([*zeros, 4, 5], [2, 1, 1])  # class 0 has 2, more than its 4/3
    zeros.pop(int(draws[7] * 2))  # class 1 has 1, less than its 4/3
    assert state(8) == ([*zeros, 4, 5, 7], [1, 2, 1])
    ones = [4, 7]
    ones.pop(int(draws[8] * 2))  # class 2 has 1; the largest is class 1
    assert state(9) == (sorted([*zeros, *ones, 5, 8]), [1, 1, 2])


def test_the_lowest_of_the_largest_classes_loses_a_row():
    codes = np.array([1, 0, 2, 1])
    policy = get_policy("gdumb")
    found = [
        keep(policy, [[row] for row in range(came)], Fixed(2), codes=codes).rows.tolist()
        for came in range(1, 5)
    ]
    # classes in the buffer: 1; 1, 0; 1, 2 (2 replaces 0); then class 1 has its share: no change
    assert found == [[0], [0, 1], [0, 2], [0, 2]]


def test_gdumb_fills_free_places_and_empties_them_for_other_classes():
    codes = np.array([0] * 6 + [1] * 5)
    policy = get_policy("gdumb")
    first = keep(policy, [np.arange(6)], Fixed(8), codes=codes)
    assert first.rows.tolist() == [0, 1, 2, 3, 4, 5]
    second = keep(policy, [np.arange(6), np.arange(6, 8)], Fixed(8), codes=codes)
    assert np.bincount(second.codes).tolist() == [6, 2]
    third = keep(policy, [np.arange(6), np.arange(6, 8), np.arange(8, 11)], Fixed(8), codes=codes)
    assert np.bincount(third.codes).tolist() == [4, 4]
    assert third.rows[4:].tolist() == [6, 7, 8, 9]  # the last one found its class complete


def test_a_share_of_gdumb_grows_and_stays_balanced():
    codes = np.tile([0, 0, 0, 0, 1, 2], 50)
    memory = keep(get_policy("gdumb"), np.split(np.arange(300), 3), Share(0.1), codes=codes)
    assert np.bincount(memory.codes).tolist() == [10, 10, 10]


def test_random_numbers_depend_on_purpose_and_seed():
    rows = np.arange(1000)
    seeds = [random_of_rows(rows, np.random.default_rng(seed)) for seed in (0, 1)]
    other = random_of_rows(rows, np.random.default_rng(0), "leaving")
    spawned = random_of_rows(rows, np.random.default_rng(0).spawn(1)[0])
    for left, right in ((seeds[0], seeds[1]), (seeds[0], other), (seeds[0], spawned)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.12
    assert stats.kstest(seeds[0], "uniform").pvalue > ALPHA
