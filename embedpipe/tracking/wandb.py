"""Runs in Weights & Biases, stored on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .tracker import Tracker, trackers

__all__ = ["WandbTracker"]

PROJECT = "embedpipe"


@trackers.register("wandb")
class WandbTracker(Tracker):
    """Offline runs of Weights & Biases; upload them with `wandb sync FOLDER/wandb/offline-run-*`.

    Before that, no data leave the machine. Code, environment and machine are not recorded.
    """

    def __init__(self, folder: str | Path = "tracking") -> None:
        super().__init__(folder)
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # wandb reads it on import
        try:
            import wandb
        except ImportError:
            raise UsageError(
                "Weights & Biases is not installed: `pip install 'embedpipe[wandb]'`."
            ) from None
        self._wandb = wandb
        self._run: Any = None

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open an offline run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self._wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_git=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
        )
        self._run = self._wandb.init(
            mode="offline",
            dir=str(self.folder),
            project=PROJECT,
            id=run_id,
            name=run_id,
            config=dict(config),
            settings=settings,
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of a round."""
        self._run.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Write pending data and close the run."""
        self._run.finish()
