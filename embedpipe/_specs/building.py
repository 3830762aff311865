"""Make objects from spec strings, format objects as spec strings, and check options."""

from __future__ import annotations

import inspect
import math
import operator
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from numbers import Integral, Real
from typing import Any, TypeVar

from .._registry import Registry
from ..errors import UnknownNameError, UsageError
from .grammar import Term, format_term, parse_spec

__all__ = [
    "build",
    "check_above",
    "check_block_size",
    "check_complete",
    "check_count",
    "check_number",
    "check_share",
    "checked_options",
    "format_spec",
    "named_by",
    "parameters_of",
]

KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "none",
}
"""Words in messages for the types that are checked."""


def parameters_of(maker: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of the constructor that can be passed by name."""
    if hasattr(maker, "get_params"):  # no types: estimators check values in `fit`
        keyword = inspect.Parameter.KEYWORD_ONLY
        return {
            name: inspect.Parameter(name, keyword, default=default)
            for name, default in _default_estimator(maker).get_params(deep=False).items()
        }
    try:
        signature = inspect.signature(maker, eval_str=True)
    except NameError:  # an annotation is imported only for type checkers
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


def checked_options(owner: str, maker: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `owner` (``"strategy 'coral'"``) as the constructor expects them."""
    # Whole numbers become floats where a float is expected. Only types in `KINDS` are checked.
    parameters = parameters_of(maker)
    for name in options:
        if name not in parameters:
            if not parameters:
                raise UsageError(f"{owner} has no options, but got {name!r}: leave it out.")
            raise UnknownNameError(f"option of {owner}", name, parameters)
    return {
        name: _checked(owner, name, value, parameters[name].annotation)
        for name, value in options.items()
    }


def check_complete(owner: str, maker: type, options: Mapping[str, Any]) -> None:
    """Raise `UsageError` if an option without a default is missing."""
    for name, parameter in parameters_of(maker).items():
        if parameter.default is parameter.empty and name not in options:
            raise UsageError(f"{owner} needs the option {name!r}: give {name}=...")


def _checked(owner: str, name: str, value: Any, hint: Any) -> Any:
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
    raise UsageError(f"option {name!r} of {owner} is {value!r}: give {kinds}.")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def check_count(
    name: str, value: Any, least: int = 1, most: int | None = None, *, alternative: str = ""
) -> int:
    """Return a whole number from `least` to `most`, or raise `UsageError`.

    `alternative` names other values that the caller accepts, such as ``"'auto'"``.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and value >= least and (most is None or value <= most):
        return int(value)
    wanted = f"at least {least}" + ("" if most is None else f" and at most {most}")
    raise UsageError(f"{name} is {value!r}: give a whole number, {wanted}{_or(alternative)}.")


def check_block_size(block_size: int | None) -> int | None:
    """Return None or an integer that is at least 1, or raise `UsageError`."""
    return None if block_size is None else check_count("block_size", block_size)


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    alternative: str = "",
) -> float:
    """Return a finite number within the bounds, or raise `UsageError`.

    For `alternative`, see `check_count`.
    """
    number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    bounds = [
        ("above", operator.gt, above),
        ("at least", operator.ge, least),
        ("below", operator.lt, below),
        ("at most", operator.le, most),
    ]
    limits = [(words, fits, bound) for words, fits, bound in bounds if bound is not None]
    if number and all(fits(value, bound) for _, fits, bound in limits):
        checked: float = value
        return checked
    wanted = " and ".join(f"{words} {bound:g}" for words, _, bound in limits)
    raise UsageError(f"{name} is {value!r}: give a number {wanted}{_or(alternative)}.")


def check_above(name: str, value: float) -> float:
    """Return a finite number above 0, or raise `UsageError`."""
    return check_number(name, value, above=0)


def check_share(name: str, value: float, *, zero: bool) -> float:
    """Return a share above 0 and at most 1, or raise `UsageError`.

    With `zero`, the share must be at least 0 and below 1.
    """
    if zero:
        return check_number(name, value, least=0, below=1)
    return check_number(name, value, above=0, most=1)


def _or(alternative: str) -> str:
    return f", or {alternative}" if alternative else ""


R = TypeVar("R", bound=Registry[Any])

_NAMED_BY: list[Registry[Any]] = []
"""Registries whose names occur in spec strings."""


def named_by(registry: R) -> R:
    """Let `format_spec` use the names of a registry; return the registry."""
    _NAMED_BY.append(registry)
    return registry


def build(registry: Registry[Any], spec: str | Term, /, **options: Any) -> Any:
    """Make an object from a spec string and more `options`; no option may be in both."""
    # A class with a class method `from_spec(term)` builds the object from the parsed term itself.
    term = parse_spec(spec, registry.kind, registry) if isinstance(spec, str) else spec
    maker, owner = registry[term.name], f"{registry.kind} {term.name!r}"
    twice = [name for name, _ in term.options if name in options]
    if twice:
        raise UsageError(f"{owner} got {twice[0]!r} twice: give it once.")
    term = replace(term, options=(*term.options, *options.items()))
    if hasattr(maker, "from_spec"):
        return maker.from_spec(term)
    if term.strength is not None:
        raise UsageError(
            f"{owner} got the strength ^{term.strength:g}: only objectives have a strength, as in "
            f"combine(margin^2, diversity)."
        )
    if term.arguments:
        unnamed = format_term(Term("", term.arguments[:1]))[1:-1]
        raise UsageError(
            f"{owner} got {unnamed!r} without a name: write {term.name}(option=value); its "
            f"options: {', '.join(parameters_of(maker)) or 'none'}."
        )
    checked = checked_options(owner, maker, dict(term.options))
    check_complete(owner, maker, checked)
    return maker(**checked)


def format_spec(thing: Any) -> str:
    """Return the spec string of a strategy, head, policy or objective.

    Parameters
    ----------
    thing
        An object that keeps its options as attributes of the same names; a scikit-learn
        classifier; an object with a method ``to_spec()``; or a `Term`.

    Returns
    -------
    str
        The name, with the options that differ from their defaults.

    Raises
    ------
    UsageError
        If the object does not keep an option as an attribute, or a value is not a number, text,
        None, list, tuple or dict.

    Examples
    --------
    >>> from embedpipe.heads import SLDAHead
    >>> from embedpipe.strategies import Coral
    >>> format_spec(Coral(uncertainty="entropy")), format_spec(Coral())
    ('coral(uncertainty=entropy)', 'coral')
    >>> format_spec(SLDAHead(class_weight={"hat": 2.0}))
    "slda(class_weight={'hat': 2.0})"
    """
    if isinstance(thing, Term):
        return format_term(thing)
    if hasattr(thing, "to_spec"):
        text: str = thing.to_spec()
        return text
    name, changed = _name_of(thing), []
    # Run files and model names contain the options of scikit-learn estimators as Python literals.
    python = hasattr(thing, "get_params")
    for option, parameter in parameters_of(type(thing)).items():
        if not hasattr(thing, option):
            raise UsageError(
                f"{name!r} has no spec string: it does not keep its option {option!r} as an "
                "attribute."
            )
        value = getattr(thing, option)
        if not _same(value, parameter.default):
            _check_plain(name, option, value, python)
            changed.append((option, value))
    return format_term(Term(name, options=tuple(changed)), python=python)


def _name_of(thing: Any) -> str:
    for registry in _NAMED_BY:
        name = registry.name_for(type(thing))
        if name is not None:
            return name
    named = getattr(thing, "name", None)
    return named if isinstance(named, str) else _place_of(type(thing))


def _place_of(cls: type) -> str:
    """Return ``"module:Class"`` with the shortest public module path that has the class."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        private = any(part.startswith("_") for part in parts[:length])
        if not private and getattr(import_module(module), cls.__name__, None) is cls:
            return f"{module}:{cls.__name__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and bool(value == default)


def _check_plain(name: str, option: str, value: Any, python: bool) -> None:
    try:
        format_term(Term(name, options=((option, value),)), python=python)
    except TypeError:
        raise UsageError(
            f"{name!r} has no spec string: its option {option!r} is a {type(value).__name__}, not "
            "a number, text, list or dict."
        ) from None
