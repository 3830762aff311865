"""Old public names: they work for one version, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["old_names"]


def old_names(
    module: str, places: Mapping[str, str], others: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module for old names; `places` has ``"module:new_name"``."""

    def get(name: str) -> Any:
        if name in places:
            place, _, new = places[name].partition(":")
            warnings.warn(f"`{name}` is now `{new}`.", DeprecationWarning, stacklevel=2)
            return getattr(import_module(place), new)
        if others is not None:
            return others(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get
