"""Registered things from their spec strings, and back."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any, TypeVar

from .._registry import Registry
from ..errors import UsageError
from .grammar import Term, format_term, parse_spec
from .options import check_complete, checked_options, parameters_of

__all__ = ["build", "format_spec", "named_by"]

R = TypeVar("R", bound=Registry[Any])

_NAMED_BY: list[Registry[Any]] = []
"""Registries whose names stand in spec strings."""


def named_by(registry: R) -> R:
    """Let `format_spec` use the names of a registry, and return it."""
    _NAMED_BY.append(registry)
    return registry


def build(registry: Registry[Any], spec: str | Term, /, **options: Any) -> Any:
    """Make what a spec string describes; options beside it must not be in it too."""
    # A class with the class method `from_spec(term)` reads its brackets itself.
    term = parse_spec(spec, registry.kind, registry) if isinstance(spec, str) else spec
    maker, what = registry[term.name], f"{registry.kind} {term.name!r}"
    twice = [name for name, _ in term.options if name in options]
    if twice:
        raise UsageError(f"{what} is given {twice[0]!r} twice: give it once.")
    term = replace(term, options=(*term.options, *options.items()))
    if hasattr(maker, "from_spec"):
        return maker.from_spec(term)
    if term.strength is not None:
        raise UsageError(
            f"{what} is given the strength ^{term.strength:g}: only objectives have one, as in "
            f"combine(margin^2, diversity)."
        )
    if term.arguments:
        given = format_term(Term("", term.arguments[:1]))[1:-1]
        raise UsageError(
            f"{what} is given {given!r} without a name: write {term.name}(option=value); its "
            f"options: {', '.join(parameters_of(maker)) or 'none'}."
        )
    checked = checked_options(what, maker, dict(term.options))
    check_complete(what, maker, checked)
    return maker(**checked)


def format_spec(thing: Any) -> str:
    """Return the spec string of a strategy, head, policy or objective.

    Parameters
    ----------
    thing
        An instance that keeps its options as attributes of the same names; a scikit-learn
        classifier; or an instance with a method ``to_spec()``, which returns the text.
        A `Term` is written as it is.

    Returns
    -------
    str
        Its name, with the options that differ from their defaults. Values of heads are written as
        Python writes them, all others as plain words; either can be read by every family.

    Raises
    ------
    UsageError
        If an option is not kept, or is no number, text, None, list, tuple or dict.

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
    python = hasattr(thing, "get_params")  # the form that stored run files and model names have
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
    """Return ``"module:Class"``, by the nearest module without an underscore that has the class."""
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
