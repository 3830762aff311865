"""The cache: stores of immutable fragments, and the matrices derived from them."""

from .combined import AnyStore, CombinedStore, joined, open_store
from .maintenance import (
    Problem,
    collect_garbage,
    drop_spec,
    find_spec,
    list_specs,
    specs_of_library,
    verify,
)
from .matrices import Earlier, earlier_of, open_matrix
from .scan_memory import MEMORY_SCHEMA, memories, read_memory, write_memory
from .store import CONTENT_ID, Failure, Row, Spec, Store

__all__ = [
    "CONTENT_ID",
    "MEMORY_SCHEMA",
    "AnyStore",
    "CombinedStore",
    "Earlier",
    "Failure",
    "Problem",
    "Row",
    "Spec",
    "Store",
    "collect_garbage",
    "drop_spec",
    "earlier_of",
    "find_spec",
    "joined",
    "list_specs",
    "memories",
    "open_matrix",
    "open_store",
    "read_memory",
    "specs_of_library",
    "verify",
    "write_memory",
]
