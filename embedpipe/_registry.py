"""Registries of datasets, backbones, strategies, heads and other entries, and extensions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import UnknownNameError, UsageError

__all__ = [
    "Registry",
    "add_script_entries",
    "if_imported",
    "import_extensions",
    "imported_extensions",
    "script_entries",
]

T = TypeVar("T")

_GROUPS: dict[str, Registry[Any]] = {}
"""Registries by their group of entry points."""


class Registry(Generic[T]):
    """A mapping from names to entries, in order of registration.

    Installed packages add entries through entry points, which are loaded at first use.

    Parameters
    ----------
    kind
        Kind of the entries for messages, such as ``"strategy"``.
    group
        Group of entry points, such as ``"embedpipe.strategies"``, or None.

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
        if group is not None:
            _GROUPS.setdefault(group, self)
        self._installed: dict[str, EntryPoint] | None = None  # None before the first search

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under `name`."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise UsageError(f"the {self.kind} {name!r} is registered already.")
            self._entries[name] = entry
            return entry

        return add

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
        """Return the first name of an entry, or None, without loading entry points."""
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
        except UsageError as error:  # the other entries are still listed
            return str(error)
        return (entry.__doc__ or "no description.").strip().splitlines()[0].strip()

    def _entry_points(self) -> dict[str, EntryPoint]:
        """Return the entry points of installed packages by name."""
        if self._installed is None:
            found = entry_points(group=self.group) if self.group else ()
            self._installed = {point.name: point for point in found}
            for name in self._installed.keys() & self._entries.keys():
                package = self._installed.pop(name).dist
                warnings.warn(
                    f"the {self.kind} {name!r} of the package {package.name if package else '?'} "
                    "is ignored: the name is registered already. Ask the authors of the package "
                    "for another name.",
                    stacklevel=2,
                )
        return self._installed

    def _load(self, name: str) -> T:
        """Load an entry point, and register its object."""
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


_IMPORTED: dict[str, None] = {}  # used as a set that keeps the order of import


def import_extensions(names: Iterable[str]) -> None:
    """Import modules, each given by its name or by the path of a ``.py`` file.

    A module may be installed or in the current directory.
    """
    for name in names:
        place = str(Path(name).resolve()) if name.endswith(".py") else name
        if place in _IMPORTED:
            continue
        try:
            _import_file(Path(place)) if name.endswith(".py") else _import_module(name)
        except Exception as error:
            raise UsageError(
                f"cannot import {name!r}: {type(error).__name__}: {error}. Give the path of a .py "
                "file, or the name of a module that is installed or in the current directory."
            ) from error
        _IMPORTED[place] = None


def imported_extensions() -> list[str]:
    """Return the imported extensions, so that worker processes can import them too."""
    return list(_IMPORTED)


def script_entries() -> list[tuple[str, str, Any]]:
    """Return (group, name, entry) of each entry from the running script or notebook.

    Worker processes cannot import them; see `add_script_entries`.
    """
    return [
        (group, name, entry)
        for group, registry in _GROUPS.items()
        for name, entry in registry._entries.items()
        if getattr(entry, "__module__", None) == "__main__"
    ]


def add_script_entries(entries: Iterable[tuple[str, str, Any]]) -> None:
    """Register the script's entries in the registries that this worker process has loaded."""
    for group, name, entry in entries:
        if group in _GROUPS:
            _GROUPS[group]._entries.setdefault(name, entry)


def _import_module(name: str) -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.import_module(name)


def _import_file(path: Path) -> None:
    """Import a file as a module named by its stem, so that pickle finds its classes."""
    if path.stem in sys.modules:
        raise ImportError(f"a module {path.stem!r} exists already: rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file at {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
