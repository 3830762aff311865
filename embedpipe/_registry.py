"""Names for things: one registry for each family (datasets, backbones, strategies, heads)."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from .errors import UnknownNameError, UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from names to the things that they name, in order of registration.

    Installed packages add to it through entry points of a group: the name of the entry point is
    the name, and its object the thing. They are loaded when they are asked for.

    Parameters
    ----------
    kind
        What a name names, as it appears in messages: ``"strategy"``.
    group
        The group of entry points, such as ``"embedpipe.strategies"``; None for none.

    Examples
    --------
    >>> strategies = Registry[type]("strategy")
    >>> @strategies.register("random")
    ... class Random:
    ...     '''Every item is equally likely.'''
    >>> strategies["random"].__name__
    'Random'
    >>> strategies["ramdom"]
    Traceback (most recent call last):
    embedpipe.errors.UnknownNameError: unknown strategy 'ramdom'. Did you mean 'random'? Known: random.
    """  # noqa: E501

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}
        self._installed: dict[str, EntryPoint] | None = None  # None: not looked for yet

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under `name`."""

        def file(entry: T) -> T:
            if name in self._entries:
                raise UsageError(f"the {self.kind} {name!r} is registered already.")
            self._entries[name] = entry
            return entry

        return file

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name]
        if name in self._entry_points():
            return self._load(name)
        raise UnknownNameError(self.kind, name, self)

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._entries, *self._entry_points()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def name_for(self, entry: object) -> str | None:
        """Return the first name of an entry, or None; nothing is loaded for that."""
        return next((name for name in self if self._if_loaded(name) is entry), None)

    def _if_loaded(self, name: str) -> object:
        if name in self._entries:
            return self._entries[name]
        return if_imported(self._entry_points()[name].value)

    def describe(self) -> dict[str, str]:
        """Return the first line of each entry's docstring by name."""
        return {name: self._description(name) for name in self}

    def _description(self, name: str) -> str:
        try:
            entry: Any = self[name]
        except UsageError as error:  # one broken package does not hide the others
            return str(error)
        return (entry.__doc__ or "no description.").strip().splitlines()[0].strip()

    def _entry_points(self) -> dict[str, EntryPoint]:
        """Return the entry points of installed packages by name, found once."""
        if self._installed is None:
            found = entry_points(group=self.group) if self.group else ()
            self._installed = {point.name: point for point in found}
            for name in self._installed.keys() & self._entries.keys():
                package = self._installed.pop(name).dist
                warnings.warn(
                    f"the {self.kind} {name!r} of the package {package.name if package else '?'} "
                    "is ignored: there is one of that name. Ask its authors for another name.",
                    stacklevel=2,
                )
        return self._installed

    def _load(self, name: str) -> T:
        """Import the package behind an entry point, and register its object."""
        point = self._entry_points()[name]
        try:
            entry = point.load()
        except Exception as error:
            package = point.dist.name if point.dist else point.value
            raise UsageError(
                f"the {self.kind} {name!r} of the package {package!r} cannot be loaded: "
                f"{type(error).__name__}: {error}. Update or uninstall the package."
            ) from error
        return self._entries.setdefault(name, entry)


def if_imported(place: str) -> object:
    """Return the object at ``"module:name"`` if its module is imported, else None."""
    module, _, name = place.partition(":")
    return getattr(sys.modules.get(module), name, None)
