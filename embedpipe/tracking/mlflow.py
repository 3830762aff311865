"""Runs in MLflow."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .tracker import Tracker, trackers

__all__ = ["MLflowTracker"]

EXPERIMENT = "embedpipe"
RUN_ID = "embedpipe.run_id"

LONGEST_PARAMETER = 500
"""Maximum characters of a parameter that all versions of MLflow accept."""


@trackers.register("mlflow")
class MLflowTracker(Tracker):
    """A local MLflow database; open it with `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`.

    A run has the tag ``embedpipe.run_id``. If the run exists, only new rounds are added. MLflow's
    telemetry is turned off for this process.
    """

    def __init__(self, folder: str | Path = "tracking") -> None:
        super().__init__(folder)
        path = str(self.folder.absolute())
        if "?" in path or "%" in path:  # SQLAlchemy interprets ? and % as parts of a URL
            raise UsageError(
                f"MLflow cannot use the folder {path!r}: its path must not contain ? or %. Choose "
                "another --workspace."
            )
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it on import
        try:
            import alembic  # noqa: F401
            import sqlalchemy  # noqa: F401
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise UsageError(
                "MLflow is not installed: `pip install 'embedpipe[mlflow]'`."
            ) from None
        self.folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would log the creation of tables
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about MLflow's own use of SQLAlchemy
            self._client = MlflowClient(
                tracking_uri=f"sqlite:///{(self.folder / 'mlflow.db').absolute()}"
            )
        self._run: str = ""
        self._logged: set[int] = set()

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the run, or create it with its configuration as parameters."""
        experiment = self._experiment()
        found = self._client.search_runs([experiment], f"tags.`{RUN_ID}` = '{run_id}'")
        if found:
            self._run = found[0].info.run_id
        else:
            run = self._client.create_run(experiment, run_name=run_id, tags={RUN_ID: run_id})
            self._run = run.info.run_id
            for name, value in config.items():
                text = value if isinstance(value, str) else json.dumps(value)
                self._client.log_param(self._run, name, text[:LONGEST_PARAMETER])
        history = self._client.get_metric_history(self._run, "labelled")
        self._logged = {metric.step for metric in history}

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of a round, unless they are stored already."""
        if step in self._logged:
            return
        # "labelled" comes last: it marks the round as complete.
        for name in sorted(metrics, key=lambda name: name == "labelled"):
            self._client.log_metric(self._run, name, metrics[name], step=step)
        self._logged.add(step)

    def finish(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        artifacts = (self.folder / "artifacts").absolute().as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))
