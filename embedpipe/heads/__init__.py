"""Classifiers on embeddings: scikit-learn estimators that are fitted again every round.

Each name is loaded when it is first used: names and descriptions of heads come without
scikit-learn.
"""

from __future__ import annotations

import warnings
from typing import Any

import lazy_loader

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "head_spelling":
        from .._specs import format_spec

        warnings.warn("`head_spelling` is now `format_spec`.", DeprecationWarning, stacklevel=2)
        return format_spec
    return _lazy(name)
