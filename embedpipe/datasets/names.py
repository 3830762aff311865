"""The name of a dataset that has only a path."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import hashlib
import os
import re

__all__ = ["path_name"]

_SUFFIX = re.compile(
    r"\.(zip|tar|tgz|tbz2|txz|(tar\.)?(gz|bz2|xz)|csv|jsonl|parquet)$", re.IGNORECASE
)


def path_name(path: str, identity: str | None = None) -> str:
    """Return a name for the dataset at `path`: readable, valid as a folder name, and its own.

    Where the path alone does not tell datasets apart, `identity` does.

    Examples
    --------
    >>> path_name("/photos/My cats.tar.gz")
    'My-cats-...'
    """
    absolute = os.path.abspath(path)
    stem = _SUFFIX.sub("", os.path.basename(absolute))
    slug = re.sub(r"[^\w.]+", "-", stem.encode("utf-8", "replace").decode()).strip("-.")
    digest = hashlib.sha256(os.fsencode(identity or absolute)).hexdigest()
    return f"{slug[:64] or 'dataset'}-{digest[:8]}"
