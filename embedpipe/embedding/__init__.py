"""Computing vectors for the cache: scan, decode, encode, write."""

from .._options import EmbedOptions
from .embed import embed
from .embeddings import Embeddings, EmbedReport, Remark
from .import_vectors import import_vectors
from .profile import StageProfile
from .scan import Progress
from .vector_files import write_vectors

__all__ = [
    "EmbedOptions",
    "EmbedReport",
    "Embeddings",
    "Progress",
    "Remark",
    "StageProfile",
    "embed",
    "import_vectors",
    "write_vectors",
]
