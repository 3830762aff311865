"""Policies by name.

To add one, write a file with a subclass of `Policy` under ``@policies.register("name")`` and
import it below.
"""

from __future__ import annotations

from typing import Any

from .._specs import build
from . import balanced, central, ranked, scored, streamed  # noqa: F401  (they file themselves)
from .base import Policy, policies

__all__ = ["NO_BUFFER", "Policy", "get_policy", "policies"]

NO_BUFFER = "none"
"""In place of a policy: nothing is kept, and the method is naive."""


def get_policy(name: str, **options: Any) -> Policy:
    """Make a policy from its spec string.

    Parameters
    ----------
    name
        A registered name (``list(policies)`` has them all), or one with options, such as
        ``"el2n(take=easiest)"``, where a value is a number, ``true``, ``false`` or a word.
    **options
        More arguments of its constructor.

    Returns
    -------
    Policy
        A new instance.

    Raises
    ------
    UnknownNameError
        If nothing is registered under `name`, or it has no such option.
    UsageError
        If it cannot be read, or an option has a wrong value.

    Examples
    --------
    >>> get_policy("el2n(take=easiest)").take
    'easiest'
    """
    made: Policy = build(policies, name, **options)
    return made
