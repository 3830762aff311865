"""Old public names: they work for one version, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

__all__ = ["old_attribute", "old_names", "old_parameters"]

T = TypeVar("T", bound=Callable[..., Any])


def old_names(
    module: str, places: Mapping[str, str], others: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """Return a module's `__getattr__`; `places` maps an old name to ``"module:new_name"``.

    `others` returns the value of any other name.
    """

    def get(name: str) -> Any:
        if name in places:
            place, _, new = places[name].partition(":")
            warnings.warn(f"`{name}` is now `{new}`.", DeprecationWarning, stacklevel=2)
            return getattr(import_module(place), new)
        if others is not None:
            return others(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get


def old_parameters(**names: str) -> Callable[[T], T]:
    """Return a decorator for a function or class that accepts old names of keyword arguments."""

    def decorate(call: T) -> T:
        any_call: Any = call
        called = any_call.__init__ if isinstance(call, type) else any_call

        @functools.wraps(called)
        def accepting(*arguments: Any, **options: Any) -> Any:
            for old in names.keys() & options.keys():
                new = names[old]
                if new in options:
                    raise TypeError(
                        f"{call.__name__}() got `{old}` and `{new}`, which are the same argument: "
                        f"give `{new}` only."
                    )
                _warn(old, new)
                options[new] = options.pop(old)
            return called(*arguments, **options)

        if not isinstance(call, type):
            return accepting  # type: ignore[return-value]
        call.__init__ = accepting  # type: ignore[misc]
        return call

    return decorate


def old_attribute(old: str, new: str) -> Any:
    """Return a property for the old name of an attribute or method."""

    def get(self: Any) -> Any:
        _warn(old, new)
        return getattr(self, new)

    return property(get, doc=f"Old name of `{new}`.")


def _warn(old: str, new: str) -> None:
    warnings.warn(f"`{old}` is now `{new}`.", DeprecationWarning, stacklevel=3)
