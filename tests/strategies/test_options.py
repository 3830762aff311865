"""Options out of range, of every strategy."""

import math

import pytest

from embedpipe._specs import check_count
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.strategies import strategies

WHOLE = "a whole number, at least"
CASES = [
    ("alfamix", "epsilon", 0, "a number above 0 and at most 1"),
    ("alfamix", "shares", 0, f"{WHOLE} 1"),
    ("alfamix", "anchors", 1.5, f"{WHOLE} 1"),
    ("bald", "samples", 1, f"{WHOLE} 2"),
    ("power_bald", "samples", 1, f"{WHOLE} 2"),
    *[
        ("power_bald", "beta", beta, "a number above 0")
        for beta in (0, -1.0, math.nan, math.inf, "1", True)
    ],
    ("cluster_margin", "margin_factor", 0, f"{WHOLE} 1"),
    ("cluster_margin", "clusters", 0, f"{WHOLE} 1"),
    ("cluster_margin", "order", "size", "'random' or 'margin'"),
    *[("coreset", "block_size", size, f"{WHOLE} 1") for size in (0, -1, 2.0, True)],
    ("coreset_robust", "outliers", 1.0, "a number at least 0 and below 1"),
    ("coreset_robust", "outliers", -0.5, "a number at least 0 and below 1"),
    ("coreset_robust", "block_size", 0, f"{WHOLE} 1"),
    ("doubtful_coverage", "width", 0.0, "a number above 0"),
    ("doubtful_coverage", "floor", 1.0, "a number at least 0 and below 1"),
    ("dropquery", "passes", 0, f"{WHOLE} 1"),
    *[("dropquery", "dropout", share, "a number above 0 and below 1") for share in (0, 1.0, True)],
    ("facility_location", "neighbours", 0, f"{WHOLE} 1"),
    ("max_herding", "width", math.nan, "a number above 0"),
    ("probcover", "clusters", 1, f"{WHOLE} 2"),
    ("probcover", "delta", 0.0, "a number above 0"),
    ("probcover", "delta", math.inf, "a number above 0"),
    ("probcover", "purity", 0.0, "a number above 0 and at most 1"),
    ("probcover", "purity", 1.5, "a number above 0 and at most 1"),
    ("query_by_committee", "members", 1, f"{WHOLE} 2"),
    ("typiclust", "max_clusters", 0, f"{WHOLE} 1"),
    ("typiclust", "min_cluster_size", 0, f"{WHOLE} 1"),
    ("uncertainty_herding", "width", -1.0, "a number above 0"),
]


@pytest.mark.parametrize(("name", "option", "value", "expected"), CASES)
def test_options_out_of_range_are_refused(name, option, value, expected):
    with pytest.raises(UsageError) as caught:
        strategies[name](**{option: value})
    assert str(caught.value) == f"{option} is {value!r}: give {expected}."


@pytest.mark.parametrize("value", [1, 2.5, True, "8", None])
def test_a_count_must_be_a_whole_number(value):
    with pytest.raises(UsageError) as caught:
        check_count("samples", value, 2)
    assert str(caught.value) == f"samples is {value!r}: give {WHOLE} 2."


@pytest.mark.parametrize("name", ["coral", "uncertainty_herding"])
def test_an_unknown_uncertainty_is_refused(name):
    with pytest.raises(UnknownNameError) as caught:
        strategies[name](uncertainty="margins")
    assert str(caught.value) == (
        "unknown uncertainty 'margins'. Did you mean 'margin'? "
        "Known: entropy, least_confidence, margin."
    )


def test_an_unknown_disagreement_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        strategies["query_by_committee"](disagreement="vote")
    assert str(caught.value) == "unknown disagreement 'vote'. Known: kl, vote_entropy."
