"""Streams of experiences over cached vectors: replay buffers, exact heads, honest metrics."""

import warnings
from typing import Any

from .._specs import format_spec
from .learning import METHODS, MIXES
from .loop import ContinualLoop
from .memory import Memory, Seen, Size, size_of
from .metrics import METRICS, accuracy_matrix, continual_metrics
from .options import ContinualOptions
from .parts import KINDS
from .policy import NO_BUFFER, Policy, get_policy, policies
from .records import ExperienceRecord
from .stream import PROTOCOLS, Experience, Stream, StreamIdentity

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
    "ExperienceRecord",
    "Memory",
    "Policy",
    "Seen",
    "Size",
    "Stream",
    "StreamIdentity",
    "accuracy_matrix",
    "continual_metrics",
    "get_policy",
    "policies",
    "size_of",
]


def __getattr__(name: str) -> Any:
    if name == "policy_spelling":
        warnings.warn("`policy_spelling` is now `format_spec`.", DeprecationWarning, stacklevel=2)
        return format_spec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
