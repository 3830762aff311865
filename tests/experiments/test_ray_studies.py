"""Studies on a Ray cluster: the same results as in processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe import _ray
from embedpipe.errors import RunError, UsageError
from embedpipe.experiments import Experiment, ReplayStudy, ray_workers
from embedpipe.experiments.workers import Done, Failed, ProgressUpdate, run_tasks

pytest.importorskip("ray", reason="needs Ray")

pytestmark = pytest.mark.slow


@pytest.fixture
def address(two_nodes: Any) -> str:
    """The address of two nodes of one processor."""
    return str(two_nodes.address)


def _files(workspace: Path) -> dict[str, bytes]:
    """Return the files of results, and the picks of all runs."""
    kinds = ("experiments/*/*.parquet", "runs/*/picks.parquet", "runs/*/config.json")
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for kind in kinds
        for path in workspace.glob(kind)
        if path.name != "timings.parquet"
    }


def test_compare_and_replay_give_the_same_bytes(address: str, tmp_path: Path) -> None:
    found = []
    for name in ("local", "ray"):
        workspace = tmp_path / name
        where: dict[str, Any] = {"workers": 2}
        if name == "ray":
            where = {"executor": "ray", "address": address}
        digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)
        Experiment(
            digits, strategies=["margin", "coreset"], seeds=2, rounds=2, initial_size=10,
            batch_size=10, workspace=workspace,
        ).run(**where)  # fmt: skip
        ReplayStudy(
            ep.Stream.of(digits, "order", n=3), policies=["random"], retains=[0.05], seeds=2,
            workspace=workspace,
        ).run(**where)  # fmt: skip
        found.append(_files(workspace))
    assert len(found[0]) > 10
    assert found[0] == found[1]
    assert not list((tmp_path / "ray").rglob(".tmp-*"))


def _fatal(shared: str, task: tuple[str, Path]) -> Iterator[str]:
    """End the worker once for the task ``once``, and each time for ``always``."""
    name, marker = task
    yield f"{shared} {name}"
    if name == "always" or (name == "once" and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_continues_on_another_worker(address: str, tmp_path: Path) -> None:
    tasks = [(name, tmp_path / name) for name in ("once", "always", "never")]
    with _ray.joined_cluster(address) as ray:

        def make(*given: Any) -> ray_workers.RayWorkerPool:
            return ray_workers.RayWorkerPool(ray, tmp_path, *given)

        events = list(run_tasks(tasks, _fatal, 2, "shared", make_pool=make))  # type: ignore[arg-type]
    updates = [each.message for each in events if isinstance(each, ProgressUpdate)]
    assert {"shared never", "shared once"} <= set(updates)  # that of a lost worker may be lost too
    assert {each.task[0] for each in events if isinstance(each, Done)} == {"once", "never"}
    (failed,) = (each for each in events if isinstance(each, Failed))
    assert failed.task[0] == "always"
    assert failed.error.startswith("its worker process ended (The actor died")


def test_a_node_without_the_workspace_is_an_error(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "write_atomically", lambda path, data: None)
    with _ray.joined_cluster(address) as ray:
        pool = ray_workers.RayWorkerPool(ray, tmp_path, _fatal, 1, "shared")  # type: ignore[arg-type]
        pool.submit("never", ("never", tmp_path))
        with pytest.raises(RunError) as caught, _ray.explained_errors(ray):
            list(pool.poll())
    assert str(caught.value).startswith("the Ray node ")
    assert f" has no workspace at {tmp_path}: give a --workspace" in str(caught.value)


def test_a_pool_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    class Full:
        cloudpickle = pickle

        @staticmethod
        def put(value: Any) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        ray_workers.RayWorkerPool(Full, tmp_path, _fatal, 1, "shared")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_wrong_executors(tmp_path: Path) -> None:
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)
    study = Experiment(digits, seeds=1, rounds=1, workspace=tmp_path)
    with pytest.raises(UsageError) as caught:
        study.run(executor="dask")
    assert str(caught.value) == "unknown executor 'dask': use local or ray."
    with pytest.raises(UsageError) as caught:
        study.run(executor="ray", workers=0)
    assert str(caught.value) == "workers is 0: the executor ray needs at least 1 worker."
