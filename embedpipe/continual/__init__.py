"""Streams of experiences over cached vectors: replay buffers, exact heads, honest metrics."""

from .learning import METHODS, MIXES
from .loop import ContinualLoop
from .memory import Memory, Seen, Size, size_of
from .metrics import METRICS, accuracy_matrix, continual_metrics
from .parts import KINDS
from .policy import NO_BUFFER, Policy, get_policy, policies, policy_spelling
from .records import ExperienceRecord
from .stream import PROTOCOLS, Experience, Stream

__all__ = [
    "KINDS",
    "METHODS",
    "METRICS",
    "MIXES",
    "NO_BUFFER",
    "PROTOCOLS",
    "ContinualLoop",
    "Experience",
    "ExperienceRecord",
    "Memory",
    "Policy",
    "Seen",
    "Size",
    "Stream",
    "accuracy_matrix",
    "continual_metrics",
    "get_policy",
    "policies",
    "policy_spelling",
    "size_of",
]
