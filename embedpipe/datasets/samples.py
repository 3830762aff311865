"""Labels beside the images of a tar archive, as WebDataset stores samples.

The members of a sample have the same path up to the first dot of the file name: ``0001.jpg``,
``0001.cls``, ``0001.json``, ``0001.txt``. A label is, in this order of preference:

1. the text of the member ``.cls``, ``.cls.txt`` or ``.label``;
2. the field ``label``, ``class`` or ``cls`` of the member ``.json``;
3. the text of the member ``.txt``, if it is one short line and at most half of the texts of the
   dataset differ. Otherwise, the texts are captions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = [
    "LABEL_BYTES",
    "LABEL_SUFFIXES",
    "SampleLabel",
    "chosen_labels",
    "label_in",
    "sample_key",
]

SampleLabel = tuple[int, str]
"""The preference of a label, 0 for the first, and its text."""

LABEL_SUFFIXES = (".cls", ".label", ".json", ".txt")
"""Suffixes of members that may contain the label of a sample."""

LABEL_BYTES = 64 << 10
"""Maximum bytes of such a member."""

_FIELDS = ("label", "class", "cls")
_MAX_LENGTH = 100
"""Maximum number of characters of a label in a text."""

_CLASS, _FIELD, _TEXT = range(3)


def sample_key(path: str) -> str:
    """Return the key of the sample that a member belongs to."""
    folder, slash, file = path.rpartition("/")
    return folder + slash + file.partition(".")[0]


def label_in(name: str, content: bytes) -> SampleLabel | None:
    """Return the label in a member, or None."""
    lower = name.lower()
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    if lower.endswith(".json"):
        found = _field(text)
        return None if found is None else (_FIELD, found)
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        return None
    return (_CLASS if lower.endswith((".cls", ".label", ".cls.txt")) else _TEXT, text)


def _field(text: str) -> str | None:
    """Return the label in the text of a JSON object, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # for example, deep nesting
        return None
    found = (
        next((value[name] for name in _FIELDS if name in value), None)
        if isinstance(value, dict)
        else None
    )
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found).strip() or None


def chosen_labels(found: Mapping[str, SampleLabel]) -> dict[str, str]:
    """Return the labels of a dataset by id, without captions."""
    sure = {id: label for id, (kind, label) in found.items() if kind != _TEXT}
    if sure:
        return sure
    texts = {id: label for id, (_, label) in found.items()}
    return texts if len(set(texts.values())) * 2 <= len(texts) else {}
