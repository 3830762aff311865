"""The fits of a head (labels, accuracy, agreement), stored on disk across sessions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..active.stopping import Evidence

__all__ = ["Fit", "FitHistory"]


@dataclass(frozen=True)
class Fit:
    """A fit of a head to the labels of a dataset."""

    version: int  # id of the last event in the label log before the fit
    evidence: Evidence
    # Expected accuracy on the items without a label and its 90 % interval; None if unknown.
    expected: tuple[float, float, float] | None = None


class FitHistory:
    """All fits of one head to the labels of one dataset, oldest first.

    The file takes 200 bytes for each fit. If it is deleted, only the accuracy curve is lost.
    """

    def __init__(self, path: Path, key: Mapping[str, str]) -> None:
        self._path, self._key = path, dict(key)  # dataset, embedding spec and head
        self.fits: list[Fit] = []
        with contextlib.suppress(OSError):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._add_line(json.loads(line))

    @property
    def evidence(self) -> list[Evidence]:
        """The evidence of the fits, for the advice on stopping."""
        return [fit.evidence for fit in self.fits]

    def add(self, fit: Fit) -> None:
        """Add a fit, unless the last fit used the same version of the label log."""
        if self.fits and self.fits[-1].version == fit.version:
            return
        self.fits.append(fit)
        fields = {"version": fit.version, **asdict(fit.evidence), "expected": fit.expected}
        line = json.dumps({**self._key, **fields})
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
        expected = _checked_shares(line.get("expected"))  # earlier versions wrote none
        self.fits.append(Fit(version, Evidence(labelled, accuracy, n, agreement), expected))


def _checked_count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _checked_share(value: object) -> float | None:
    return None if value is None else _checked_number(value)


def _checked_shares(value: object) -> tuple[float, float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(value)
    return _checked_number(value[0]), _checked_number(value[1]), _checked_number(value[2])


def _checked_number(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)
