"""Images that failed: how they are listed, and how many are too many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..embedding import Embeddings

__all__ = ["FailureLimit", "failures_of"]


@dataclass(frozen=True)
class FailureLimit:
    """The most failures that a run may have.

    Attributes
    ----------
    text
        As given.
    count
        Number of images, or None.
    percent
        Percent of the images, or None.

    Examples
    --------
    >>> FailureLimit.parse("1%").is_exceeded(2, 100), FailureLimit.parse("2").is_exceeded(2, 100)
    (True, False)
    """

    text: str
    count: int | None
    percent: float | None

    @classmethod
    def parse(cls, text: str) -> FailureLimit:
        """Return the limit that ``N`` or ``P%`` means.

        Raises
        ------
        UsageError
            If it is neither.
        """
        match = re.fullmatch(r"([0-9]+)|([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%", text.strip(), re.ASCII)
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageError(
                f"--max-failures {text}: give a number of images, such as 10, or a share of them "
                "from 0% to 100%, such as 1%."
            )
        if match[1]:
            return cls(text, int(match[1]), None)
        return cls(text, None, float(match[2]))

    def is_exceeded(self, failed: int, images: int) -> bool:
        """Return whether so many failures of so many images are more than the limit."""
        if self.count is not None:
            return failed > self.count
        assert self.percent is not None
        return 100 * failed > self.percent * images


def failures_of(embeddings: Embeddings) -> list[dict[str, Any]]:
    """Return the images of a dataset that have no vector, with the stage and the reason."""
    return [
        {"path": failure.path, "stage": failure.stage, "reason": failure.error}
        for failure in (*embeddings.failures, *embeddings.vanished)
    ]
