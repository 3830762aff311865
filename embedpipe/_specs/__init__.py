"""Spec strings: names of strategies, heads, policies and objectives with options.

Examples: ``mlp(hidden=64)``, ``coral(uncertainty=entropy)``, ``combine(margin^2, diversity)``.
"""

from .building import (
    build,
    check_above,
    check_block_size,
    check_complete,
    check_count,
    check_number,
    check_share,
    checked_options,
    format_spec,
    named_by,
)
from .grammar import OPERATORS, Comparison, Term, format_term, parse_spec, split_specs

__all__ = [
    "OPERATORS",
    "Comparison",
    "Term",
    "build",
    "check_above",
    "check_block_size",
    "check_complete",
    "check_count",
    "check_number",
    "check_share",
    "checked_options",
    "format_spec",
    "format_term",
    "named_by",
    "parse_spec",
    "split_specs",
]
