"""Checks of options: by the constructor's names and types, and by range."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from ..errors import UnknownNameError, UsageError

__all__ = [
    "check_above",
    "check_block_size",
    "check_complete",
    "check_count",
    "check_share",
    "checked_options",
    "parameters_of",
]

KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "none",
}
"""Types that are checked, in words."""


def parameters_of(maker: type) -> dict[str, inspect.Parameter]:
    """Return the constructor's parameters that can be given by name."""
    if hasattr(maker, "get_params"):  # without types: an estimator checks its values in `fit`
        keyword = inspect.Parameter.KEYWORD_ONLY
        return {
            name: inspect.Parameter(name, keyword, default=default)
            for name, default in _default_estimator(maker).get_params(deep=False).items()
        }
    try:
        signature = inspect.signature(maker, eval_str=True)
    except NameError:  # a type that is imported for type checkers alone
        signature = inspect.signature(maker)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _default_estimator(maker: type) -> Any:
    try:
        return maker()
    except TypeError as error:
        raise UsageError(f"{maker.__name__} cannot be made without arguments: {error}.") from None


def checked_options(what: str, maker: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `what` (``"strategy 'coral'"``) as the constructor takes them."""
    # Whole numbers become floats where a float is expected. Only types in `KINDS` are checked.
    parameters = parameters_of(maker)
    for name in options:
        if name not in parameters:
            if not parameters:
                raise UsageError(f"{what} has no options, but is given {name!r}: leave it out.")
            raise UnknownNameError(f"option of {what}", name, parameters)
    return {
        name: _checked(what, name, value, parameters[name].annotation)
        for name, value in options.items()
    }


def check_complete(what: str, maker: type, options: Mapping[str, Any]) -> None:
    """Refuse options that lack one without a default."""
    for name, parameter in parameters_of(maker).items():
        if parameter.default is parameter.empty and name not in options:
            raise UsageError(f"{what} lacks its option {name!r}: give {name}=...")


def _checked(what: str, name: str, value: Any, hint: Any) -> Any:
    if type(value).__module__ == "numpy" and not getattr(value, "shape", (1,)):
        value = value.item()
    wanted = typing.get_args(hint) if _is_union(hint) else (hint,)
    if not all(each in KINDS for each in wanted):
        return value
    if type(value) is int and int not in wanted and float in wanted:
        return float(value)
    if type(value) in wanted:
        return value
    kinds = " or ".join(KINDS[each] for each in wanted)
    raise UsageError(f"option {name!r} of {what} is {value!r}: give {kinds}.")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is at least `least`, or raise `UsageError`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and value >= least:
        return int(value)
    raise UsageError(f"{name} is {value!r}: give a whole number, at least {least}.")


def check_block_size(block_size: int | None) -> int | None:
    """Return None or a whole number that is at least 1, or raise `UsageError`."""
    return None if block_size is None else check_count("block_size", block_size)


def check_above(name: str, value: float) -> float:
    """Return a finite number above 0, or raise `UsageError`."""
    if _is_number(value) and 0 < value < math.inf:
        return value
    raise UsageError(f"{name} is {value!r}: give a number above 0.")


def check_share(name: str, value: float, *, zero: bool) -> float:
    """Return a number above 0, at most 1 (`zero`: from 0, below 1), or raise `UsageError`."""
    if _is_number(value) and (0 <= value < 1 if zero else 0 < value <= 1):
        return value
    wanted = "at least 0 and below 1" if zero else "above 0 and at most 1"
    raise UsageError(f"{name} is {value!r}: give a number {wanted}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
