"""Contract checks for custom strategies, heads, policies, methods, formats, datasets and backbones.

One call runs all checks of a strategy, and raises `ContractError` if one fails::

    from embedpipe.testing import check_strategy

    def test_my_strategy():
        check_strategy("my_strategy")

Or pytest runs a test for each check::

    @pytest.mark.parametrize("check", strategy_checks)
    def test_my_strategy(check):
        check("my_strategy")
"""

from ._suite import CheckReport, ContractError, NotApplicable
from .backbones import backbone_checks, check_backbone
from .datasets import check_dataset, dataset_checks
from .formats import check_format, format_checks
from .heads import check_head, head_checks
from .methods import check_method, method_checks
from .policies import check_policy, policy_checks
from .strategies import check_strategy, strategy_checks

__all__ = [
    "CheckReport",
    "ContractError",
    "NotApplicable",
    "backbone_checks",
    "check_backbone",
    "check_dataset",
    "check_format",
    "check_head",
    "check_method",
    "check_policy",
    "check_strategy",
    "dataset_checks",
    "format_checks",
    "head_checks",
    "method_checks",
    "policy_checks",
    "strategy_checks",
]
