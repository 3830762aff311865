"""The base class of trackers, which loops and experiments call after each round."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .._registry import Registry
from ..errors import RunError

if TYPE_CHECKING:
    from ..active import ActiveLoop, RoundRecord
    from ..continual import ContinualLoop, ExperienceRecord

__all__ = ["Tracker", "get_tracker", "trackers"]

trackers = Registry[type["Tracker"]]("tracker", "embedpipe.trackers")


class Tracker(ABC):
    """Logs the metrics of runs.

    Call ``tracker(loop, record)`` after each round of a loop, or log the runs of a study with
    ``grid.run(on_run=tracker.log_run)``. A new tracker implements `start`, `log` and `finish`.

    Parameters
    ----------
    folder
        Folder of the tracker's files.

    Examples
    --------
    >>> class Printer(Tracker):
    ...     def start(self, run_id, config):
    ...         print("run", run_id)
    ...     def log(self, metrics, step):
    ...         print(step, metrics)
    ...     def finish(self):
    ...         print("done")
    >>> with Printer() as tracker:
    ...     tracker.follow("digits-random-s0", {"seed": 0}, {"accuracy": 0.5}, 20)
    ...     tracker.follow("digits-random-s0", {"seed": 0}, {"accuracy": 0.6}, 40)
    run digits-random-s0
    20 {'accuracy': 0.5}
    40 {'accuracy': 0.6}
    done
    """

    def __init__(self, folder: str | Path = "tracking") -> None:
        self.folder = Path(folder)
        self._run_id: str | None = None

    @abstractmethod
    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open a run, new or existing, with its configuration as plain JSON."""

    @abstractmethod
    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the metrics of a round of the open run; `step` is the number of labels."""

    @abstractmethod
    def finish(self) -> None:
        """Close the open run."""

    def __call__(
        self, loop: ActiveLoop | ContinualLoop, record: RoundRecord | ExperienceRecord
    ) -> None:
        """Log the metrics of a round or an experience of a loop."""
        run_id = loop.run_id if isinstance(loop.run_id, str) else loop.run_id()
        self.follow(run_id, loop.config(), metrics_of(record), record.labelled)

    def log_run(self, folder: str | Path) -> None:
        """Log all rounds of the stored run in a folder ``runs/<run_id>``."""
        from ..active import RunFolder
        from ..continual.records import read_records

        folder = Path(folder)
        records: list[RoundRecord | ExperienceRecord] = [
            *RunFolder(folder).read(),
            *read_records(folder),
        ]
        try:
            config = json.loads((folder / "config.json").read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {folder / 'config.json'}: {error}.") from error
        for record in records:
            self.follow(folder.name, config, metrics_of(record), record.labelled)
        self.close()

    def follow(
        self, run_id: str, config: Mapping[str, Any], metrics: Mapping[str, float], step: int
    ) -> None:
        """Log the metrics of a round of the run `run_id`; close another open run first."""
        if run_id != self._run_id:
            self.close()
            self.start(run_id, config)
            self._run_id = run_id
        self.log(metrics, step)

    def close(self) -> None:
        """Close the open run; do nothing if no run is open."""
        if self._run_id is not None:
            self._run_id = None
            self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def metrics_of(record: RoundRecord | ExperienceRecord) -> dict[str, float]:
    """Return the finite numbers of a record; ``accuracy/<j>`` is the accuracy on experience j."""
    from ..continual import ExperienceRecord

    if isinstance(record, ExperienceRecord):
        values = vars(record) | {"loss": record.loss, "accuracy": record.mean_accuracy}
        values |= {f"accuracy/{at}": float(each) for at, each in enumerate(record.accuracies)}
    else:
        values = record.summary()
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def get_tracker(name: str, folder: str | Path = "tracking") -> Tracker:
    """Return a new tracker: ``"tensorboard"``, ``"mlflow"`` or ``"wandb"``."""
    return trackers[name](folder)
