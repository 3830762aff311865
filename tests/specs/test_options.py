import math

import pytest

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.strategies import get_strategy

WHOLE = "give a whole number, at least"
CASES = [
    ("typiclust", "max_clusters", 0, f"max_clusters is 0: {WHOLE} 1."),
    ("typiclust", "min_cluster_size", 0, f"min_cluster_size is 0: {WHOLE} 1."),
    ("facility_location", "neighbours", 0, f"neighbours is 0: {WHOLE} 1."),
    ("probcover", "clusters", 1, f"clusters is 1: {WHOLE} 2."),
    ("probcover", "delta", 0.0, "delta is 0.0: give a number above 0."),
    ("probcover", "delta", math.inf, "delta is inf: give a number above 0."),
    ("probcover", "purity", 0.0, "purity is 0.0: give a number above 0 and at most 1."),
    ("probcover", "purity", 1.5, "purity is 1.5: give a number above 0 and at most 1."),
    ("coreset_robust", "outliers", 1.0, "outliers is 1.0: give a number at least 0 and below 1."),
    ("coreset_robust", "outliers", -0.5, "outliers is -0.5: give a number at least 0 and below 1."),
    ("coreset_robust", "block_size", 0, "block_size is 0: give a whole number, at least 1."),
    ("max_herding", "width", math.nan, "width is nan: give a number above 0."),
    ("uncertainty_herding", "width", -1.0, "width is -1.0: give a number above 0."),
]


@pytest.mark.parametrize(("name", "option", "value", "message"), CASES)
def test_options_out_of_range_are_refused(name, option, value, message):
    with pytest.raises(UsageError) as caught:
        get_strategy(name, **{option: value})
    assert str(caught.value) == message


def test_an_unknown_uncertainty_is_named():
    with pytest.raises(UnknownNameError) as caught:
        get_strategy("uncertainty_herding", uncertainty="margins")
    assert str(caught.value) == (
        "unknown uncertainty 'margins'. Did you mean 'margin'? "
        "Known: entropy, least_confidence, margin."
    )
