"""Names for things: one registry for each family (datasets, backbones, strategies, heads)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .errors import UnknownNameError, UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from names to the things that they name, in order of registration.

    Parameters
    ----------
    kind
        What a name names, as it appears in messages: ``"strategy"``.

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

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`."""

        def file(entry: T) -> T:
            if name in self._entries:
                raise UsageError(f"the {self.kind} {name!r} is registered already.")
            self._entries[name] = entry
            return entry

        return file

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def describe(self) -> dict[str, str]:
        """Return the first line of each entry's docstring by name."""
        return {
            name: (entry.__doc__ or "no description.").strip().splitlines()[0].strip()
            for name, entry in self._entries.items()
        }
