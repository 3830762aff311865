"""The number of workers on a cluster, and the processors and GPUs of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..._options import EmbedOptions
from ...errors import RunError

__all__ = ["Slots", "slots_for"]

MAX_CPUS = 8
"""Maximum processors of a worker without an option: more than these wait for one interpreter."""


@dataclass(frozen=True)
class Slots:
    """The number of workers, and the resources that Ray reserves for each."""

    workers: int
    cpus: float
    gpus: float


def slots_for(options: EmbedOptions, nodes: Sequence[Mapping[str, float]]) -> Slots:
    """Return the workers for the resources of the nodes.

    By default, each GPU has one worker; on a cluster without GPUs, few workers of several
    processors use as many processors as possible, because each worker holds the model once.
    """
    gpus = options.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    usable = [node for node in nodes if node.get("GPU", 0.0) >= gpus and node.get("CPU", 0.0)]
    cpus = options.cpus_per_worker
    if cpus is None:
        counts = [max(1, int(node["CPU"] / max(1, _gpu_workers(node, gpus)))) for node in usable]
        cpus = _best_cpus(counts, options.workers)
    fitting = sum(
        min(int(node["CPU"] // cpus), _gpu_workers(node, gpus) if gpus else MAX_WORKERS)
        for node in usable
    )
    if not fitting and options.workers is None:
        raise RunError(
            f"no node of the Ray cluster has {cpus:g} CPUs and {gpus:g} GPUs for a worker: give "
            "smaller --cpus-per-worker and --gpus-per-worker, or start nodes with more."
        )
    return Slots(options.workers or fitting, cpus, gpus)


MAX_WORKERS = 1 << 16


def _gpu_workers(node: Mapping[str, float], gpus: float) -> int:
    return int(node.get("GPU", 0.0) // gpus) if gpus else 0


def _best_cpus(counts: Sequence[int], workers: int | None) -> float:
    """Return the processors of a worker that leave the fewest processors of the nodes unused."""
    choices = [cpus for cpus in range(1, MAX_CPUS + 1) if any(count >= cpus for count in counts)]
    if workers is not None:
        choices = [c for c in choices if sum(count // c for count in counts) >= workers]
    return max(choices, key=lambda c: (sum(count // c * c for count in counts), c), default=1)
