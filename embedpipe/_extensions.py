"""Modules of users that register strategies, heads, datasets and the like when imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from .errors import UsageError

__all__ = ["import_extensions", "imported_extensions"]

_IMPORTED: dict[str, None] = {}  # in order, each once


def import_extensions(names: Iterable[str]) -> None:
    """Import modules by name, from the current directory too, or by the path of a ``.py`` file.

    Raises
    ------
    UsageError
        If one cannot be found or imported.
    """
    for name in names:
        place = str(Path(name).resolve()) if name.endswith(".py") else name
        if place in _IMPORTED:
            continue
        try:
            _import_file(Path(place)) if name.endswith(".py") else _import_module(name)
        except Exception as error:
            raise UsageError(
                f"cannot import {name!r}: {type(error).__name__}: {error}. Give the name of an "
                "installed module, of one in the current directory, or the path of a .py file."
            ) from error
        _IMPORTED[place] = None


def imported_extensions() -> list[str]:
    """Return what was imported, for worker processes to import too."""
    return list(_IMPORTED)


def _import_module(name: str) -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.import_module(name)


def _import_file(path: Path) -> None:
    """Import a file as the module of its stem, under which pickles find its classes."""
    if path.stem in sys.modules:
        raise ImportError(f"there is a module {path.stem!r} already: rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
