"""Runs in TensorBoard."""

from __future__ import annotations

import json
import time
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
        folder = self.folder / run_id
        _wait_for_a_later_name(folder)
        self._writer = self._open(log_dir=str(folder), purge_step=0)
        self._writer.add_text("config", f"```json\n{json.dumps(config, indent=1)}\n```")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self) -> None:
        """Close the event file."""
        self._writer.close()


def _wait_for_a_later_name(folder: Path) -> None:
    """Wait until TensorBoard would read a new event file after all existing event files."""
    # It reads them in the order of their names: events.out.tfevents.SECONDS.HOST.PROCESS.NUMBER
    seconds = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    latest = max((int(each) for each in seconds if each.isdigit()), default=0)
    time.sleep(min(max(latest + 1 - time.time(), 0), 1))
