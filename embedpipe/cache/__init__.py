"""The cache: stores of immutable fragments, and the matrices derived from them."""

from .maintenance import Problem, collect_garbage, drop_spec, find_spec, list_specs, verify
from .matrices import open_matrix
from .scan_memory import MEMORY_SCHEMA, read_memory, write_memory
from .store import CONTENT_ID, Failure, Row, Spec, Store

__all__ = [
    "CONTENT_ID",
    "MEMORY_SCHEMA",
    "Failure",
    "Problem",
    "Row",
    "Spec",
    "Store",
    "collect_garbage",
    "drop_spec",
    "find_spec",
    "list_specs",
    "open_matrix",
    "read_memory",
    "verify",
    "write_memory",
]
