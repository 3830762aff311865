"""What may be given as a parameter of a head."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from ..errors import UsageError


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_count(name: str, value: Any, alternative: str = "") -> None:
    """Refuse what is not a whole number from 1.

    Raises
    ------
    UsageError
        With `alternative`, such as ``" or 'auto'"``, named as another possibility.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise UsageError(f"{name} must be a whole number from 1{alternative}, not {value!r}.")


def check_number(
    name: str, value: Any, low: float, high: float = float("inf"), *, above: bool = False
) -> None:
    """Refuse what is not a number from `low` to less than `high`; `above`: more than `low`.

    Raises
    ------
    UsageError
        If it is not.
    """
    fits = is_number(value) and (value > low if above else value >= low) and value < high
    if not fits:
        least = f"more than {low:g}" if above else f"at least {low:g}"
        most = "" if high == float("inf") else f" and less than {high:g}"
        raise UsageError(f"{name} must be {least}{most}, not {value!r}.")
