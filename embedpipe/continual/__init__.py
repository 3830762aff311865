"""Continual learning over cached vectors: streams of experiences, replay policies, metrics."""

from .._deprecated import old_names
from . import (  # noqa: F401  (registers policies and methods)
    random_policies,
    score_policies,
    vector_policies,
)
from .learner import MIXES, Learner
from .loop import ContinualLoop
from .memory import ExperienceBatch, Memory, Size, size_of
from .method import Method, get_method, methods
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
from .trained_methods import TrainedMethod

__all__ = [
    "KINDS",
    "METRICS",
    "MIXES",
    "NO_BUFFER",
    "PROTOCOLS",
    "ContinualLoop",
    "ContinualOptions",
    "Experience",
    "ExperienceBatch",
    "ExperienceRecord",
    "Learner",
    "Memory",
    "Method",
    "Policy",
    "Ranked",
    "Size",
    "Stream",
    "StreamIdentity",
    "TrainedMethod",
    "accuracy_matrix",
    "buffer_quotas",
    "continual_metrics",
    "get_method",
    "get_policy",
    "methods",
    "policies",
    "random_of_rows",
    "size_of",
]

__getattr__ = old_names(
    __name__,
    {
        "METHODS": "embedpipe.continual.method:methods",
        "Seen": "embedpipe.continual.memory:ExperienceBatch",
        "policy_spelling": "embedpipe._specs:format_spec",
    },
)
