"""Streams of experiences over cached vectors: replay buffers, exact heads, honest metrics."""

import warnings
from typing import Any

from .._specs import format_spec
from . import random_policies, score_policies, vector_policies  # noqa: F401  (which register)
from .loop import ContinualLoop
from .memory import ExperienceBatch, Memory, Size, size_of
from .methods import METHODS, MIXES
from .metrics import METRICS, accuracy_matrix, continual_metrics
from .options import ContinualOptions
from .policy import (
    NO_BUFFER,
    Policy,
    Ranked,
    buffer_quotas,
    get_policy,
    policies,
    random_of_rows,
)
from .records import ExperienceRecord
from .stream import PROTOCOLS, Experience, Stream, StreamIdentity
from .stream_parts import KINDS

__all__ = [
    "KINDS",
    "METHODS",
    "METRICS",
    "MIXES",
    "NO_BUFFER",
    "PROTOCOLS",
    "ContinualLoop",
    "ContinualOptions",
    "Experience",
    "ExperienceBatch",
    "ExperienceRecord",
    "Memory",
    "Policy",
    "Ranked",
    "Size",
    "Stream",
    "StreamIdentity",
    "accuracy_matrix",
    "buffer_quotas",
    "continual_metrics",
    "get_policy",
    "policies",
    "random_of_rows",
    "size_of",
]


def __getattr__(name: str) -> Any:
    if name == "Seen":
        warnings.warn("`Seen` is now `ExperienceBatch`.", DeprecationWarning, stacklevel=2)
        return ExperienceBatch
    if name == "policy_spelling":
        warnings.warn("`policy_spelling` is now `format_spec`.", DeprecationWarning, stacklevel=2)
        return format_spec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
