"""Checks of a dataset: duplicates, outliers, label errors, tiny and blank images."""

from .._deprecated import old_names
from .dataset_check import CheckResult, check
from .duplicates import NearDuplicates, near_duplicates
from .imbalance import Imbalance, class_imbalance
from .label_errors import LabelErrors, confident_errors, find_label_errors, why_not_judged
from .outliers import Outliers, find_outliers
from .serialization import as_dict

__all__ = [
    "CheckResult",
    "Imbalance",
    "LabelErrors",
    "NearDuplicates",
    "Outliers",
    "as_dict",
    "check",
    "class_imbalance",
    "confident_errors",
    "find_label_errors",
    "find_outliers",
    "near_duplicates",
    "why_not_judged",
]

__getattr__ = old_names(__name__, {"Checked": "embedpipe.checks:CheckResult"})
