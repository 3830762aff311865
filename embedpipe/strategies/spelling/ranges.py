"""Options that must lie in a range."""

from __future__ import annotations

import math

import numpy as np

from ...errors import UsageError

__all__ = ["check_above", "check_block_size", "check_count", "check_share"]


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return `value` if it is a whole number and at least `least`.

    Raises
    ------
    UsageError
        If it is not.

    Examples
    --------
    >>> check_count("max_clusters", 0)
    Traceback (most recent call last):
    embedpipe.errors.UsageError: max_clusters is 0: give a whole number, at least 1.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and value >= least:
        return int(value)
    raise UsageError(f"{name} is {value!r}: give a whole number, at least {least}.")


def check_block_size(block_size: int | None) -> int | None:
    """Return `block_size` if it is None or a whole number, at least 1.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> check_block_size(0)
    Traceback (most recent call last):
    embedpipe.errors.UsageError: block_size is 0: give a whole number, at least 1.
    """
    return None if block_size is None else check_count("block_size", block_size)


def check_above(name: str, value: float) -> float:
    """Return `value` if it is a finite number above 0.

    Raises
    ------
    UsageError
        If it is not.

    Examples
    --------
    >>> check_above("delta", -1)
    Traceback (most recent call last):
    embedpipe.errors.UsageError: delta is -1: give a number above 0.
    """
    if _is_number(value) and 0 < value < math.inf:
        return value
    raise UsageError(f"{name} is {value!r}: give a number above 0.")


def check_share(name: str, value: float, *, zero: bool) -> float:
    """Return `value` if it is above 0 and at most 1, or, with `zero`, at least 0 and below 1.

    Raises
    ------
    UsageError
        If it is not.

    Examples
    --------
    >>> check_share("purity", 0, zero=False)
    Traceback (most recent call last):
    embedpipe.errors.UsageError: purity is 0: give a number above 0 and at most 1.
    """
    if _is_number(value) and (0 <= value < 1 if zero else 0 < value <= 1):
        return value
    wanted = "at least 0 and below 1" if zero else "above 0 and at most 1"
    raise UsageError(f"{name} is {value!r}: give a number {wanted}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
