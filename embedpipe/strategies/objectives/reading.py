"""Objectives from what people write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._specs import Term, build, format_term, parse_spec
from ...errors import UnknownNameError, UsageError
from .base import Objective, objectives

__all__ = ["read_objective"]

KEYS = ("objective", "strength", "options")


def read_objective(given: Any) -> Objective:
    """Return the objective that is given.

    Parameters
    ----------
    given
        An objective; its spec string; or, from a YAML file, a mapping with the keys
        ``objective`` (the name), ``strength`` and ``options``.

    Raises
    ------
    UnknownNameError
        For a name, an option or a key that there is not.
    UsageError
        If it cannot be read otherwise.

    Examples
    --------
    >>> from embedpipe.strategies.objectives import Diversity
    >>> read_objective("diversity(min_distance=0.1)^2") == Diversity(0.1, strength=2)
    True
    >>> given = {"objective": "diversity", "options": {"min_distance": 0.1}}
    >>> read_objective(given) == Diversity(0.1)
    True
    """
    if isinstance(given, Objective):
        return given
    if isinstance(given, str):
        given = parse_spec(given, "objective", objectives)
    if isinstance(given, Mapping):
        given = _term_of_mapping(given)
    if not isinstance(given, Term):
        shown = given if isinstance(given, (int, float)) else _shown(given)
        raise UsageError(
            f"{shown} is no objective: give one of {', '.join(sorted(objectives))}, as in "
            "diversity^2 or threshold(margin >= 0.2)."
        )
    made: Objective = build(objectives, given)
    return made


def _shown(given: Any) -> str:
    try:
        return repr(format_term(Term("", arguments=(given,)))[1:-1])
    except (TypeError, AttributeError):
        return repr(given)


def _term_of_mapping(given: Mapping[Any, Any]) -> Term:
    for key in given:
        if key not in KEYS:
            raise UnknownNameError("key of an objective", str(key), KEYS)
    name, options = given.get("objective"), given.get("options") or {}
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise UsageError(
            f"{dict(given)!r} is no objective: give `objective: NAME` and, if needed, "
            "`strength: NUMBER` and `options:` with one `name: value` a line."
        )
    wrong = [key for key in options if isinstance(key, bool) or key is None]
    if wrong:
        raise UsageError(
            f"an option of objective {name!r} reads as {wrong[0]!r}: put its name in quotes."
        )
    strength = given.get("strength")
    if strength is not None and (
        isinstance(strength, bool) or not isinstance(strength, (int, float))
    ):
        raise UsageError(f"the strength of {name} is {strength!r}: give a number.")
    pairs = tuple((str(key), value) for key, value in options.items())
    return Term(name, (), pairs, None if strength is None else float(strength))
