"""Memory of the driver of `embed --executor ray --fill-only` for up to 10 million images.

The pool of shards and the listing are those of the command. The actors are replaced by functions
that return a receipt at once, so that the time is that of the driver alone.

    python benchmarks/driver_memory.py
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import resource
import sys
import time
from types import SimpleNamespace
from typing import Any

from embedpipe.backbones import ToyBackbone
from embedpipe.embedding.cluster.fill_only import FillCounts, _add
from embedpipe.embedding.cluster.pool import ShardPool
from embedpipe.embedding.cluster.slots import Slots
from embedpipe.embedding.cluster.worker import Job
from embedpipe.embedding.filling import FillResult


class Actor:
    """An actor that embeds nothing."""

    def __init__(self, *given: Any) -> None:
        self.look = SimpleNamespace(remote=lambda *given: Reference(("node", None)))
        self.open = SimpleNamespace(remote=lambda *given: Reference(None))
        self.embed = SimpleNamespace(remote=lambda wanted: Reference(self._receipt(wanted)))

    @staticmethod
    def _receipt(wanted: dict[str, bytes | None]) -> FillResult:
        digest = hashlib.sha256(b"image").digest()
        digests = {item_id: bytes(digest) for item_id in wanted}
        result = FillResult(len(wanted), {}, len(wanted) / 1000, digests=digests)
        return pickle.loads(pickle.dumps(result))  # as from another process


class Reference:
    """The reference to an answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer


class FakeRay:
    """The functions of Ray that the pool calls."""

    cloudpickle = pickle
    exceptions = SimpleNamespace(RayTaskError=KeyError, RayError=OSError)

    @staticmethod
    def put(value: Any) -> Any:
        """Return the value."""
        return value

    @staticmethod
    def get(reference: Reference) -> Any:
        """Return the answer."""
        return reference.answer

    @staticmethod
    def kill(actor: Actor) -> None:
        """Do nothing."""

    @staticmethod
    def wait(references: list[Reference], **how: Any) -> tuple[list[Reference], list[Reference]]:
        """Return the first reference."""
        return references[:1], references[1:]

    @staticmethod
    def remote(**how: Any) -> Any:
        """Return a class whose instances are actors."""
        return lambda kind: SimpleNamespace(remote=Actor)


def measure(images: int, workers: int) -> None:
    """Print the time and the growth of the peak memory for a number of images."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    check = SimpleNamespace(arguments=(), verify=lambda *seen: None)
    backbone = ToyBackbone()
    job = Job(None, True, backbone, backbone.preprocess, "auto")  # type: ignore[arg-type]
    pool = ShardPool(FakeRay, job, Slots(workers, 1, 0), check, None)  # type: ignore[arg-type]
    ids = ((f"photos/{number // 1000:06d}/{number:09d}.jpg", None) for number in range(images))
    counts = FillCounts()
    for count, result in pool.run(ids):
        _add(counts, count, result, None, {})  # type: ignore[arg-type]
    assert counts.items == counts.embedded == images
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024 if sys.platform == "darwin" else 1
    print(
        f"{images:>12,} images  {time.process_time() - started:6.1f} s of CPU  peak "
        f"{after / unit / 1024:6.1f} MB (+{(after - before) / unit / 1024:.1f} MB)",
        flush=True,
    )


def main() -> None:
    """Measure sizes in growing order, because the peak memory of a process never falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=16)
    given = parser.parse_args()
    for images in (10_000, 100_000, 1_000_000, 10_000_000):
        if images <= given.most:
            measure(images, given.workers)


if __name__ == "__main__":
    main()
