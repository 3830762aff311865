"""The evidence of each fit (labels, accuracy, agreement), stored on disk across sessions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ..active.stopping import Evidence

__all__ = ["FitHistory"]


class FitHistory:
    """The evidence of all fits of one head to the labels of one dataset, oldest first.

    The file takes 200 bytes for each fit. If it is deleted, only the accuracy curve is lost.
    """

    def __init__(self, path: Path, key: Mapping[str, str]) -> None:
        self._path, self._key = path, dict(key)  # dataset, embedding spec and head
        self._versions: list[int] = []
        self.evidence: list[Evidence] = []
        with contextlib.suppress(OSError):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._add_line(json.loads(line))

    def add(self, version: int, evidence: Evidence) -> None:
        """Add the evidence of a fit, unless the last fit used the same version of the label log."""
        if self._versions and self._versions[-1] == version:
            return
        self._versions.append(version)
        self.evidence.append(evidence)
        line = json.dumps({**self._key, "version": version, **asdict(evidence)})
        # Each line is one write, so that lines of simultaneous sessions do not mix. A full disk
        # does not stop labelling.
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(f"{line}\n".encode())

    def _add_line(self, line: Mapping[str, object]) -> None:
        if any(line[name] != value for name, value in self._key.items()):
            return
        version, labelled, n = (
            _checked_count(line[name]) for name in ("version", "labelled", "cv_n")
        )
        accuracy, agreement = (_checked_share(line[name]) for name in ("cv_accuracy", "agreement"))
        self._versions.append(version)
        self.evidence.append(Evidence(labelled, accuracy, n, agreement))


def _checked_count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _checked_share(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)
