"""Computing vectors for the cache: scan, decode, encode, write."""

from .._options import EmbedOptions
from .embed import embed
from .embeddings import Embeddings, EmbedReport, Remark
from .profile import StageProfile
from .scan import Progress

__all__ = [
    "EmbedOptions",
    "EmbedReport",
    "Embeddings",
    "Progress",
    "Remark",
    "StageProfile",
    "embed",
]
