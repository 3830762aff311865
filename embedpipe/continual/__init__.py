"""Streams of experiences over cached vectors: replay buffers, exact heads, honest metrics."""

from .learning import METHODS, MIXES
from .loop import ContinualLoop
from .memory import Memory, Seen, Size, size_of
from .metrics import METRICS, accuracy_matrix, continual_metrics
from .options import ContinualOptions
from .parts import KINDS
from .policy import NO_BUFFER, Policy, get_policy, policies, policy_spelling
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
    "policy_spelling",
    "size_of",
]
