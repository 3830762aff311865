"""Policies by name, and how they are written with their options.

To add one, write a file with a subclass of `Policy` under ``@policies.register("name")`` and
import it below.
"""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import UsageError
from ..strategies.spelling.grammar import Plain, Term, parse, written
from ..strategies.spelling.options import check_complete, checked_options
from . import balanced, central, ranked, scored, streamed  # noqa: F401  (they file themselves)
from .base import Policy, policies

__all__ = ["NO_BUFFER", "Policy", "get_policy", "policies", "policy_spelling"]

NO_BUFFER = "none"
"""In place of a policy: nothing is kept, and the method is naive."""


def get_policy(name: str, **options: Any) -> Policy:
    """Make the policy that is registered under `name`, or that it spells out.

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
    term = Term(name) if name in policies else parse(name, "policy")
    kind, what = policies[term.name], f"policy {term.name!r}"
    if term.arguments or term.strength is not None:
        known = ", ".join(inspect.signature(kind).parameters) or "none"
        raise UsageError(
            f"{what} is given as {name!r}, which is more than options: write "
            f"{term.name}(option=value); its options: {known}."
        )
    twice = [option for option, _ in term.options if option in options]
    if twice:
        raise UsageError(f"{what} is given {twice[0]!r} twice: give it once.")
    checked = checked_options(what, kind, {**dict(term.options), **options})
    check_complete(what, kind, checked)
    return kind(**checked)


def policy_spelling(policy: Policy) -> str:
    """Return the one line that `get_policy` makes the same policy from.

    Parameters
    ----------
    policy
        Of a registered class that keeps its options as attributes of the same names.

    Returns
    -------
    str
        Its name, with the options that differ from their defaults in brackets.

    Raises
    ------
    UsageError
        If an option is not kept, or is no plain value.

    Examples
    --------
    >>> policy_spelling(get_policy("el2n", take="easiest")), policy_spelling(get_policy("random"))
    ('el2n(take=easiest)', 'random')
    """
    changed: list[tuple[str, Plain]] = []
    for name, parameter in inspect.signature(type(policy)).parameters.items():
        value = getattr(policy, name, policy)
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise UsageError(
                f"policy {policy.name!r} has no spelling: it does not keep its option {name!r} as "
                "a number or text."
            )
        if type(value) is not type(parameter.default) or value != parameter.default:
            changed.append((name, value))
    return written(Term(policy.name, options=tuple(changed)))
