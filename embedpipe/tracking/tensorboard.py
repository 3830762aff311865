"""Runs in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .tracker import Tracker, trackers

__all__ = ["TensorBoardTracker"]


@trackers.register("tensorboard")
class TensorBoardTracker(Tracker):
    """Event files for TensorBoard; open them with `tensorboard --logdir FOLDER`.

    Each run has a folder. Tracking a run again hides its earlier events.
    """

    def __init__(self, folder: str | Path = "tracking") -> None:
        super().__init__(folder)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError(
                "TensorBoard is not installed: `pip install 'embedpipe[tensorboard]'`."
            ) from None
        self._open = SummaryWriter
        self._writer: Any = None

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the run's event file."""
        self._writer = self._open(log_dir=str(self.folder / run_id), purge_step=0)
        self._writer.add_text("config", f"```json\n{json.dumps(config, indent=1)}\n```")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self) -> None:
        """Close the event file."""
        self._writer.close()
