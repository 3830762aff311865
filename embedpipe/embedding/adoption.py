"""Vectors computed under an older rule for colours, where the rule of today gives the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa

from .._pixels import OLDER_RULES, is_unaffected
from .._workspace import Workspace
from ..cache import CONTENT_ID, Store
from ..datasets import Source
from .scan import Progress

__all__ = ["adopt_unaffected", "older_stores"]


def adopt_unaffected(
    store: Store,
    workspace: Workspace,
    source: Source,
    wanted: Mapping[str, bytes],
    progress: Progress | None = None,
) -> int:
    """Take over the vectors of images whose pixels are the same by an older rule for colours."""
    # `wanted` is the content id by item id of images without a vector. The header of each is read.
    # Returns the number of vectors taken over.
    adopted = 0
    for older in older_stores(store, workspace):
        missing = older.missing(pa.array(list(wanted.values()), CONTENT_ID))
        known = [item_id for item_id, absent in zip(wanted, missing, strict=True) if not absent]
        unaffected = []
        for done, (item_id, content) in enumerate(source.read(known), start=1):
            if isinstance(content, bytes) and is_unaffected(content):
                content_id = hashlib.sha256(content).digest()
                if content_id == wanted[item_id]:
                    unaffected.append(content_id)
            if progress is not None:
                progress("scan", done, len(known))
        if unaffected:
            store.create()
            adopted += store.adopt(older, pa.array(unaffected, CONTENT_ID))
    return adopted


def older_stores(store: Store, workspace: Workspace) -> Iterator[Store]:
    """Yield the stores of the same spec with an older rule for colours."""
    for rule in OLDER_RULES:
        preprocess = store.spec.preprocess | {"colour": rule}
        older = Store(workspace, replace(store.spec, preprocess=preprocess))
        if older.folder.exists():
            yield older
