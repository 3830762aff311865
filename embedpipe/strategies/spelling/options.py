"""Checking options before anything is made with them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import UnknownNameError, UsageError

__all__ = ["check_complete", "checked_options"]

KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "none",
}


def checked_options(what: str, maker: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` as the constructor of `maker` expects them.

    Parameters
    ----------
    what
        What they are options of, for messages: ``"strategy 'coral'"``.
    maker
        The class; the names and types of its constructor's arguments count.
    options
        By name.

    Returns
    -------
    dict
        The same, with whole numbers made floats where a float is expected.

    Raises
    ------
    UnknownNameError
        For an option that there is not.
    UsageError
        For a value of another type. Arguments that are not plain values are not looked at.

    Examples
    --------
    >>> from embedpipe.strategies import Coral
    >>> checked_options("strategy 'coral'", Coral, {"block_size": 0.5})
    Traceback (most recent call last):
    embedpipe.errors.UsageError: option 'block_size' of strategy 'coral' is 0.5: give a whole number or none.
    """  # noqa: E501
    parameters = _parameters(maker)
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
    """Refuse options that lack one without a default.

    Raises
    ------
    UsageError
        With the first such option named.

    Examples
    --------
    >>> from embedpipe.strategies.objectives import Metadata
    >>> check_complete("objective 'metadata'", Metadata, {})
    Traceback (most recent call last):
    embedpipe.errors.UsageError: objective 'metadata' lacks its option 'column': give column=...
    """
    for name, parameter in _parameters(maker).items():
        if parameter.default is parameter.empty and name not in options:
            raise UsageError(f"{what} lacks its option {name!r}: give {name}=...")


def _parameters(maker: type) -> dict[str, inspect.Parameter]:
    """Return the arguments that can be given by name."""
    try:
        signature = inspect.signature(maker, eval_str=True)
    except NameError:  # a type that is imported for type checkers alone
        signature = inspect.signature(maker)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _checked(what: str, name: str, value: Any, hint: Any) -> Any:
    if isinstance(value, np.generic):
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
