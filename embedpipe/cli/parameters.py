"""Conversion of option classes to parameters of commands, and of values to option objects."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from .._options import Option
from ..errors import UsageError

__all__ = ["KEYWORD", "Parameters", "Use"]

KEYWORD = inspect.Parameter.KEYWORD_ONLY


class Use:
    """The changes of an option class for a command.

    Parameters
    ----------
    without
        Fields that are not options of the command.
    **changes
        For each changed field: the new attributes of its `Option`, or a new ``default``.
    """

    def __init__(self, *, without: Sequence[str] = (), **changes: Mapping[str, Any]) -> None:
        self.without, self.changes = without, changes


_UNCHANGED = Use()


@dataclass(frozen=True)
class _Single:
    """One option: the parameter for Typer, and the function that converts the parsed value."""

    parameter: inspect.Parameter
    read: Callable[[Any], Any] | None = None

    def parameters(self) -> list[inspect.Parameter]:
        return [self.parameter]

    def build(self, values: Mapping[str, Any]) -> Any:
        value = values[self.parameter.name]
        return value if value is None or self.read is None else self.read(value)


@dataclass(frozen=True)
class Parameters:
    """The parameters of an option class, or of a whole command."""

    kind: Callable[..., Any]
    parts: Mapping[str, _Single | Parameters]

    @classmethod
    def of(cls, parameters: Iterable[inspect.Parameter]) -> Parameters:
        """Return the parameters of a command, with option classes replaced by their options."""
        return cls(dict, {each.name: _part(each) for each in parameters})

    def parameters(self) -> list[inspect.Parameter]:
        """Return the parameters for Typer."""
        return [each for part in self.parts.values() for each in part.parameters()]

    def build(self, values: Mapping[str, Any]) -> Any:
        """Return the option object, or the arguments of the command, from the values of Typer."""
        return self.kind(**{name: part.build(values) for name, part in self.parts.items()})


def _part(parameter: inspect.Parameter) -> _Single | Parameters:
    hint = parameter.annotation
    kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _group(kind, next((note for note in notes if isinstance(note, Use)), _UNCHANGED))
    return _Single(parameter.replace(kind=KEYWORD))


@functools.cache  # most commands share the same classes
def _group(kind: type[Any], use: Use) -> Parameters:
    hints = get_type_hints(kind)
    parts: dict[str, _Single | Parameters] = {}
    for entry in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[entry.name]):
            parts[entry.name] = _group(hints[entry.name], use)
        elif "option" in entry.metadata and entry.name not in use.without:
            changes = dict(use.changes.get(entry.name, {}))
            default = changes.pop("default", _default_of(entry))
            option = dataclasses.replace(entry.metadata["option"], **changes)
            parts[entry.name] = _single(entry.name, hints[entry.name], default, option)
    return Parameters(kind, parts)


def _default_of(entry: dataclasses.Field[Any]) -> Any:
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return inspect.Parameter.empty if entry.default is dataclasses.MISSING else entry.default


def _single(name: str, hint: Any, default: Any, option: Option) -> _Single:
    """Return the parameter of a field of an option class."""
    flag = option.flag or f"--{name.replace('_', '-')}"
    kind: Any = option.type
    read = None
    if kind is None:
        kind, read = _read_as(hint, flag)
    if isinstance(default, Mapping):
        default = [f"{key}={value}" for key, value in default.items()]
    elif isinstance(default, tuple):
        default = ",".join(map(str, default))
    shown: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    if default in (None, "", []) or default is inspect.Parameter.empty:
        shown["show_default"] = False
    if default is None:
        kind = kind | None
    if option.argument:
        note = typer.Argument(**shown)
    else:
        flags = f"{flag}/--no-{flag[2:]}" if default is True else flag
        words = [flags, option.short] if option.short else [flags]
        note = typer.Option(*words, min=option.min, max=option.max, **shown)
    annotation = Annotated[kind, note]
    parameter = inspect.Parameter(name, KEYWORD, default=default, annotation=annotation)
    return _Single(parameter, option.read or read)


def _read_as(hint: Any, flag: str) -> tuple[Any, Callable[[Any], Any] | None]:
    """Return the type that Typer reads for a field, and the function that converts the value."""
    if get_origin(hint) is Mapping:
        return list[str], lambda words: dict(_count(flag, word) for word in words)
    if get_origin(hint) is Sequence:
        return str, _split
    members = [each for each in get_args(hint) or (hint,) if each is not NoneType]
    for kind in (bool, int, float, Path, str):
        if kind in members:
            return kind, None
    raise TypeError(f"{flag}: the command line cannot read {hint}")


def _split(text: str) -> list[str]:
    """Return a list of comma-separated spec strings."""
    from .._specs import split_specs

    return split_specs(text)


def _count(flag: str, word: str) -> tuple[str, int]:
    """Return the class and the number of a text ``CLASS=N``."""
    name, _, count = word.rpartition("=")
    if not name or not count.isdecimal() or int(count) < 1:
        raise UsageError(f"{flag} {word}: give CLASS=N, such as hat=20, with N at least 1.")
    return name, int(count)
