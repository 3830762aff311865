"""Classifiers on embeddings: scikit-learn estimators that are fitted again every round.

Nothing heavy is loaded until a head is asked for: names and descriptions come without it.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._specs import format_spec
from ._base import Head, HeadRegistry, get_head, heads
from .files import load_head, save_head

if TYPE_CHECKING:
    from ._held_out import cross_validated_probabilities, expected_calibration_error
    from .fecam import FeCAMHead
    from .foreign import ForeignHead
    from .knn import KNNHead
    from .label_propagation import LabelPropagationHead
    from .logistic import LogisticHead
    from .mlp import MLPHead
    from .nearest_mean import NearestMeanHead
    from .random_projection_ridge import RandomProjectionRidgeHead
    from .ridge import RidgeHead
    from .slda import SLDAHead

__all__ = [
    "FeCAMHead",
    "ForeignHead",
    "Head",
    "HeadRegistry",
    "KNNHead",
    "LabelPropagationHead",
    "LogisticHead",
    "MLPHead",
    "NearestMeanHead",
    "RandomProjectionRidgeHead",
    "RidgeHead",
    "SLDAHead",
    "cross_validated_probabilities",
    "expected_calibration_error",
    "get_head",
    "heads",
    "load_head",
    "save_head",
]

_PLACES = {
    "FeCAMHead": "fecam",
    "ForeignHead": "foreign",
    "KNNHead": "knn",
    "LabelPropagationHead": "label_propagation",
    "LogisticHead": "logistic",
    "MLPHead": "mlp",
    "NearestMeanHead": "nearest_mean",
    "RandomProjectionRidgeHead": "random_projection_ridge",
    "RidgeHead": "ridge",
    "SLDAHead": "slda",
    "cross_validated_probabilities": "_held_out",
    "expected_calibration_error": "_held_out",
}
"""The modules of what needs scikit-learn, which is loaded only when it is asked for."""


def __getattr__(name: str) -> Any:
    if name == "head_spelling":
        warnings.warn("`head_spelling` is now `format_spec`.", DeprecationWarning, stacklevel=2)
        return format_spec
    if name in _PLACES:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
