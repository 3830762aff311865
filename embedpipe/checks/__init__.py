"""Checks of a dataset: duplicates, outliers, wrong labels, tiny and blank images."""

from .confident_learning import confident_errors
from .dataset_check import Checked, check
from .imbalance import Imbalance, class_imbalance
from .label_errors import LabelErrors, find_label_errors, why_not_judged
from .near_duplicates import NearDuplicates, near_duplicates
from .outliers import Outliers, find_outliers
from .serialization import as_dict

__all__ = [
    "Checked",
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
