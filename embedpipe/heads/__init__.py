"""Classifiers on embeddings: scikit-learn estimators that are fitted again every round.

A name is imported when it is first used, so heads can be listed without scikit-learn.
"""

from __future__ import annotations

import lazy_loader

from .._deprecated import old_names

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = old_names(__name__, {"head_spelling": "embedpipe._specs:format_spec"}, _lazy)
