"""Strategies with their options in one line, or in a file.

In one line::

    coral(uncertainty=entropy)
    combine(margin^2, diversity(min_distance=0.1), balance(hat=0.3), threshold(sharpness > 10))

In a file, whose name ends in ``.yaml`` or ``.yml``::

    strategy: coral
    options:
      uncertainty: entropy

or, where each objective is a line or has its parts by name::

    strategy: combine
    objectives:
      - margin^2
      - diversity(min_distance=0.1)
      - objective: balance
        strength: 0.5
        options: {hat: 0.3, skirt: 0.3}
      - threshold(sharpness > 10)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import UnknownNameError, UsageError
from ..base import Strategy, strategies
from .grammar import Plain, Term, parse, written
from .options import check_complete, checked_options

__all__ = ["make_strategy", "spelling_of"]

SUFFIXES = (".yaml", ".yml")


def make_strategy(spelling: str, options: Mapping[str, Any]) -> Strategy:
    """Make the strategy that is spelled out; see `get_strategy`."""
    if spelling.lower().endswith(SUFFIXES):
        return _from_file(Path(spelling), options)
    term = Term(spelling) if spelling in strategies else parse(spelling)
    return _make(term, options)


def spelling_of(strategy: Strategy) -> str:
    """Return the one line that `get_strategy` makes the same strategy from.

    Parameters
    ----------
    strategy
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
    >>> from embedpipe.strategies import Coral
    >>> spelling_of(Coral(uncertainty="entropy"))
    'coral(uncertainty=entropy)'
    >>> spelling_of(Coral())
    'coral'
    """
    term = getattr(strategy, "term", None)
    if term is not None:
        return written(term())
    options = tuple(_options_of(strategy).items())
    return written(Term(strategy.name, options=options))


def _make(term: Term, more: Mapping[str, Any]) -> Strategy:
    kind, what = strategies[term.name], f"strategy {term.name!r}"
    if term.strength is not None:
        raise UsageError(
            f"{what} is given with ^{term.strength:g}: strengths belong to the objectives of "
            f"combine(...), as in combine({term.name}^{term.strength:g})."
        )
    given = dict(term.options)
    twice = [name for name in more if name in given]
    if twice:
        raise UsageError(f"{what} is given {twice[0]!r} twice: give it once.")
    compose = getattr(kind, "from_arguments", None)
    if compose is None and term.arguments:
        raise UsageError(
            f"{what} is given {_told(term)} without a name: write "
            f"{term.name}(option=value); its options: {_names_of_options(kind)}."
        )
    checked = checked_options(what, kind, {**given, **more})
    if term.arguments and compose is not None:
        made: Strategy = compose(term.arguments, **checked)
        return made
    check_complete(what, kind, checked)
    return kind(**checked)


def _told(term: Term) -> str:
    argument = written(Term("", arguments=term.arguments[:1]))[1:-1]
    return repr(argument)


def _names_of_options(kind: type[Strategy]) -> str:
    return ", ".join(inspect.signature(kind).parameters) or "none"


def _options_of(strategy: Strategy) -> dict[str, Plain]:
    """Return the options that differ from their defaults."""
    found: dict[str, Plain] = {}
    for name, parameter in inspect.signature(type(strategy)).parameters.items():
        if not hasattr(strategy, name):
            raise UsageError(
                f"strategy {strategy.name!r} has no spelling: it does not keep its option "
                f"{name!r} as an attribute."
            )
        value = getattr(strategy, name)
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise UsageError(
                f"strategy {strategy.name!r} has no spelling: its option {name!r} is a "
                f"{type(value).__name__}, not a number or text."
            )
        if type(value) is not type(parameter.default) or value != parameter.default:
            found[name] = value
    return found


def _from_file(path: Path, more: Mapping[str, Any]) -> Strategy:
    """Make the strategy that a YAML file describes."""
    content = _read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("strategy"), str):
        raise UsageError(
            f"{str(path)!r} must name a strategy: write `strategy: NAME` and, if needed, "
            "`options:` with one `name: value` a line."
        )
    known = ("strategy", "options", "objectives")
    for key in content:
        if key not in known:
            raise UnknownNameError(f"key in {str(path)!r}", str(key), known)
    options = content.get("options") or {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise UsageError(f"`options` in {str(path)!r} must be names with values: `name: value`.")
    if "objectives" in content:
        options = {**options, "objectives": content["objectives"]}
    name = content["strategy"]
    twice = [key for key in more if key in options]
    if twice:
        raise UsageError(f"strategy {name!r} is given {twice[0]!r} twice: give it once.")
    return _make(Term(name), {**options, **more})


def _read_yaml(path: Path) -> Any:
    import yaml

    if not path.is_file():
        raise UsageError(
            f"there is no file {str(path)!r}: give the path of a strategy written as YAML, or a "
            f"name: {', '.join(strategies)}."
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise UsageError(f"{str(path)!r} is not YAML: {place}.") from error
