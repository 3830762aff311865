"""Strategies written as YAML files.

::

    strategy: coral
    options:
      uncertainty: entropy

An objective of ``combine`` is a spec string or a mapping::

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

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._specs import Term
from ..errors import UnknownNameError, UsageError

__all__ = ["is_strategy_file", "read_strategy_file"]

KEYS = ("strategy", "options", "objectives")


def is_strategy_file(name: str) -> bool:
    """Return whether a name is the path of a YAML file."""
    return name.lower().endswith((".yaml", ".yml"))


def read_strategy_file(name: str, known: Iterable[str]) -> Term:
    """Return the term of a YAML file; `known` are the names for the error message."""
    content = _read_yaml(Path(name), known)
    if not isinstance(content, dict) or not isinstance(content.get("strategy"), str):
        raise UsageError(
            f"{name!r} has no strategy: write `strategy: NAME` and, if needed, `options:` with "
            "one `name: value` per line."
        )
    for key in content:
        if key not in KEYS:
            raise UnknownNameError(f"key in {name!r}", str(key), KEYS)
    options = content.get("options") or {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise UsageError(f"`options` in {name!r} must have one `name: value` per line.")
    if "objectives" in content:
        options = {**options, "objectives": content["objectives"]}
    return Term(content["strategy"], options=tuple(options.items()))


def _read_yaml(path: Path, known: Iterable[str]) -> Any:
    import yaml

    if not path.is_file():
        raise UsageError(
            f"no file {str(path)!r}: give the path of a YAML file, or the name of a strategy: "
            f"{', '.join(known)}."
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise UsageError(f"{str(path)!r} is not valid YAML: {place}.") from error
