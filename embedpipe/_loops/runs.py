"""Runs: their identity, their configuration file, and errors about their folder."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_atomically
from ..errors import RunError

__all__ = [
    "RESULTS_VERSION",
    "damaged_run",
    "identity_of",
    "run_id_of",
    "unwritable_run",
    "write_config",
]

RESULTS_VERSION = "0.2.0"
"""First embedpipe version with the current results. A new value gives every run a new id."""

_STRATEGIES = "embedpipe.strategies"
_OBJECTIVES = "embedpipe.strategies.objectives"

RECORDED_MODULES = {
    "embedpipe.continual.random_policies.BiasedReservoir": "embedpipe.continual.streamed",
    "embedpipe.continual.random_policies.ClassBalanced": "embedpipe.continual.balanced",
    "embedpipe.continual.random_policies.ExperienceBalanced": "embedpipe.continual.balanced",
    "embedpipe.continual.random_policies.GDumb": "embedpipe.continual.streamed",
    "embedpipe.continual.random_policies.Random": "embedpipe.continual.ranked",
    "embedpipe.continual.random_policies.Reservoir": "embedpipe.continual.balanced",
    "embedpipe.continual.score_policies.EL2N": "embedpipe.continual.scored",
    "embedpipe.continual.score_policies.Entropy": "embedpipe.continual.scored",
    "embedpipe.continual.score_policies.Margin": "embedpipe.continual.scored",
    "embedpipe.continual.vector_policies.ClosestToCentre": "embedpipe.continual.central",
    "embedpipe.continual.vector_policies.Herding": "embedpipe.continual.central",
    "embedpipe.continual.vector_policies.KCenter": "embedpipe.continual.central",
    f"{_OBJECTIVES}.changing.Balance": f"{_OBJECTIVES}.balance",
    f"{_OBJECTIVES}.changing.Diversity": f"{_OBJECTIVES}.diversity",
    f"{_OBJECTIVES}.static.EntropyObjective": f"{_OBJECTIVES}.uncertain",
    f"{_OBJECTIVES}.static.LeastConfidenceObjective": f"{_OBJECTIVES}.uncertain",
    f"{_OBJECTIVES}.static.MarginObjective": f"{_OBJECTIVES}.uncertain",
    f"{_OBJECTIVES}.static.Metadata": f"{_OBJECTIVES}.metadata",
    f"{_OBJECTIVES}.static.Similarity": f"{_OBJECTIVES}.similarity",
    f"{_OBJECTIVES}.static.Threshold": f"{_OBJECTIVES}.threshold",
    f"{_OBJECTIVES}.static.Typicality": f"{_OBJECTIVES}.typicality",
    f"{_STRATEGIES}.bald.PowerBald": f"{_STRATEGIES}.power_bald",
    f"{_STRATEGIES}.coreset.RobustCoreSet": f"{_STRATEGIES}.coreset_robust",
    f"{_STRATEGIES}.herding.MaxHerding": f"{_STRATEGIES}.max_herding",
    f"{_STRATEGIES}.herding.UncertaintyHerding": f"{_STRATEGIES}.uncertainty_herding",
    f"{_STRATEGIES}.uncertainty_sampling.Entropy": f"{_STRATEGIES}.entropy",
    f"{_STRATEGIES}.uncertainty_sampling.LeastConfidence": f"{_STRATEGIES}.least_confidence",
    f"{_STRATEGIES}.uncertainty_sampling.Margin": f"{_STRATEGIES}.margin",
}
"""Module that older runs recorded for a class, by the current full name of the class."""


def run_id_of(name: str, config: dict[str, Any]) -> str:
    """Return the identity of a run: its name and a digest of its configuration."""
    text = json.dumps(config, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def identity_of(value: Any) -> Any:
    """Return plain JSON that identifies a value; values with equal bits have equal JSON."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return {"array": [str(array.dtype), list(array.shape), digest]}
    if isinstance(value, (list, tuple)):
        return [identity_of(each) for each in value]
    if isinstance(value, dict):
        return [[identity_of(key), identity_of(each)] for key, each in value.items()]
    if hasattr(value, "get_params"):
        options = value.get_params(deep=False)
    elif hasattr(value, "__dict__") and not callable(value):
        options = vars(value)
    else:
        raise RunError(
            f"a {type(value).__name__} cannot be part of the identity of a run: use options that "
            "are numbers, strings or arrays, or run without a workspace."
        )
    module, name = type(value).__module__, type(value).__qualname__
    return {
        "class": f"{RECORDED_MODULES.get(f'{module}.{name}', module)}.{name}",
        "options": {key: identity_of(options[key]) for key in sorted(options)},
    }


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration of a run; refuse a folder with another configuration."""
    path = folder / "config.json"
    text = json.dumps(config, sort_keys=True, indent=1).encode()
    try:
        if not path.exists():
            write_atomically(path, text)
        stored = path.read_bytes()
    except OSError as error:
        raise unwritable_run(folder, error) from error
    if stored != text:
        raise RunError(
            f"{folder} holds a run with other arguments. Choose another folder, or delete this one."
        )


def unwritable_run(path: Path, error: OSError) -> RunError:
    """Return the error for a run that cannot be written."""
    return RunError(
        f"cannot write the run to {path}: {error.strerror or error}. Earlier results are intact. "
        "Free space or permit writing, then run the same command again."
    )


def damaged_run(folder: Path, reason: object) -> RunError:
    """Return the error for a run that cannot be read, with the first line of the reason."""
    if isinstance(reason, OSError) and reason.errno not in (None, errno.ENOENT):
        return RunError(f"cannot read the run in {folder}: {reason.strerror or reason}.")
    return RunError(
        f"the run in {folder} is damaged ({str(reason).splitlines()[0]}): delete the folder, then "
        "run the same command again."
    )
