"""Continual learning over cached vectors: streams of experiences, replay policies, metrics."""

from .._deprecated import old_names
from . import random_policies, score_policies, vector_policies  # noqa: F401  (registers policies)
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

__getattr__ = old_names(
    __name__,
    {
        "Seen": "embedpipe.continual.memory:ExperienceBatch",
        "policy_spelling": "embedpipe._specs:format_spec",
    },
)
