"""The profile of a call of `embed`: the seconds of each stage."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["STAGES", "StageClock", "StageProfile"]

STAGES = ("read", "decode", "encode", "write")


@dataclass(frozen=True)
class StageProfile:
    """The seconds that each stage of embedding was busy.

    One thread reads, computes digests and writes. `threads` threads decode and encode.

    Attributes
    ----------
    images
        Number of embedded images.
    seconds
        Duration of embedding, without loading the model.
    threads
        Number of threads that decode and encode.
    streams
        Number of batches that the model encodes at once, at most `threads`.
    busy
        Busy seconds of each stage, summed over the threads.

    Examples
    --------
    >>> busy = {"read": 1.0, "decode": 6.0, "encode": 12.0, "write": 1.0}
    >>> profile = StageProfile(2000, 10.0, threads=2, streams=2, busy=busy)
    >>> profile.bottleneck, profile.ideal
    ('encode', 222.22222222222223)
    >>> print(profile)
    read 10 %, decode 30 %, encode 60 %, write 10 % busy; bottleneck: encode;
    200 images/s of at most 222
    """

    images: int
    seconds: float
    threads: int
    streams: int
    busy: dict[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Busy share of each stage's threads, from 0 to 1."""
        return {
            stage: self.busy[stage] / (self.seconds or 1) / self._threads_of(stage)
            for stage in STAGES
        }

    @property
    def bottleneck(self) -> str:
        """The stage that takes the most time of the threads with the most work."""
        return max(STAGES, key=lambda stage: (self._least_seconds(stage), self.busy[stage]))

    @property
    def ideal(self) -> float:
        """Images per second if the busiest threads never waited."""
        return self.images / (max(map(self._least_seconds, STAGES)) or 1)

    def plus(self, other: StageProfile | None) -> StageProfile:
        """Return the combined profile of two successive calls."""
        if other is None:
            return self
        busy = {stage: self.busy[stage] + other.busy[stage] for stage in STAGES}
        return replace(
            self,
            images=self.images + other.images,
            seconds=self.seconds + other.seconds,
            busy=busy,
        )

    def facts(self) -> dict[str, object]:
        """Return the profile for JSON."""
        return {
            "images": self.images,
            "seconds": self.seconds,
            "threads": self.threads,
            "streams": self.streams,
            "busy_seconds": self.busy,
            "busy_shares": self.shares,
            "bottleneck": self.bottleneck,
            "ideal_images_per_second": self.ideal,
        }

    def __str__(self) -> str:
        shares = ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in self.shares.items())
        return (
            f"{shares} busy; bottleneck: {self.bottleneck}; "
            f"{self.images / (self.seconds or 1):.0f} images/s of at most {self.ideal:.0f}"
        )

    def _threads_of(self, stage: str) -> int:
        return self.threads if stage in ("decode", "encode") else 1

    def _least_seconds(self, stage: str) -> float:
        """Return the least seconds for all work of the threads of a stage."""
        if stage in ("read", "write"):
            return self.busy["read"] + self.busy["write"]
        shared = (self.busy["decode"] + self.busy["encode"]) / self.threads
        return max(shared, self.busy["encode"] / self.streams) if stage == "encode" else shared


class StageClock:
    """The busy seconds of each stage, added up by several threads."""

    def __init__(self) -> None:
        self.busy = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the duration of a block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self.busy[stage] += seconds
