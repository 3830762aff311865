"""Workers that are lost on a Ray cluster, and images that end their workers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe import EmbedOptions, Workspace
from embedpipe._ray import joined_cluster, task_here
from embedpipe.cache import Failure
from embedpipe.embedding.cluster import pool
from embedpipe.embedding.cluster.executor import open_pool
from embedpipe.embedding.cluster.fill_only import FillCounts, _add
from embedpipe.embedding.cluster.pool import Shard
from embedpipe.embedding.cluster.slots import Slots, slots_for
from embedpipe.embedding.cluster.worker import ShardWorker
from embedpipe.embedding.embed import fill_folder
from embedpipe.embedding.filling import FillResult
from embedpipe.errors import RunError, UsageError
from tests.processes import run, started
from tests.ray_nodes import FATAL, NODE, FragileBackbone, worker_processes

pytest.importorskip("ray", reason="needs Ray")


@pytest.mark.slow
def test_a_killed_worker_and_a_removed_node_lose_nothing(
    two_nodes: Any, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(400, 4)
    extra = two_nodes.add_node(**NODE)
    killed: list[int] = []

    def disturb(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("embed", 400)
        if not killed:
            killed.extend(worker_processes()[:1])
            os.kill(killed[0], signal.SIGKILL)
        elif extra in two_nodes.list_all_nodes():
            two_nodes.remove_node(extra)

    found = ep.embed(
        folder,
        backbone=FragileBackbone(),
        workspace=tmp_path / "ray",
        executor="ray",
        address=two_nodes.address,
        progress=disturb,
    )
    local = ep.embed(folder, backbone=FragileBackbone(), workspace=tmp_path / "local")
    assert killed
    assert extra not in two_nodes.list_all_nodes()
    assert (found.report.items, found.report.embedded, found.report.failed) == (400, 400, 0)
    assert np.array_equal(found.matrix, local.matrix)
    assert found.content_ids == local.content_ids


@pytest.mark.slow
def test_an_image_that_ends_its_workers_is_a_failure(
    two_nodes: Any, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(100, 1)
    Image.new("RGB", (40, 40), (FATAL, 0, 0)).save(folder / "class0" / "0050-red.png")
    options = EmbedOptions(backbone=FragileBackbone(), executor="ray", address=two_nodes.address)
    found = ep.embed(folder, workspace=tmp_path / "w", options=options)
    assert (found.report.embedded, found.report.failed) == (100, 1)
    (failure,) = found.failures
    assert (failure.path, failure.stage) == ("class0/0050-red.png", "decode")
    assert failure.message == (
        "`class0/0050-red.png`: its worker process ended each time that it was decoded or encoded."
    )
    again = ep.embed(folder, workspace=tmp_path / "w", options=options)
    assert (again.report.embedded, again.report.failed) == (0, 1)


DRIVER = """
import sys
import embedpipe as ep
from tests.ray_nodes import FragileBackbone

ep.embed(
    sys.argv[1], backbone=FragileBackbone(), workspace=sys.argv[2], executor="ray",
    address=sys.argv[3], progress=lambda *done: print(*done, flush=True),
)
"""


EXTENSION = """
import os, signal
from embedpipe.backbones import ToyBackbone, backbones

@backbones.register("fatal")
class Fatal(ToyBackbone):
    name = "fatal"

    def encode(self, pixels):
        if (pixels[..., 0].mean(axis=(1, 2)) == 255).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(pixels)
"""


@pytest.mark.slow
def test_json_is_all_that_a_command_prints_if_workers_end(
    two_nodes: Any, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(1, 1)
    Image.new("RGB", (40, 40), (FATAL, 0, 0)).save(folder / "class0" / "red.png")
    (tmp_path / "extension.py").write_text(EXTENSION)
    words = [
        sys.executable, "-m", "embedpipe", "embed", "photos", "--backbone", "fatal", "--import",
        "extension.py", "--workspace", "w", "--json", "--quiet", "--executor", "ray", "--address",
        two_nodes.address,
    ]  # fmt: skip
    done = run(words, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["embedded"], result["failed"]) == (1, 1)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_killed_driver_continues(
    two_nodes: Any, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, workspace = photos(400, 2), tmp_path / "w"
    words = [sys.executable, "-c", DRIVER, str(folder), str(workspace), two_nodes.address]
    with started(words, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdout is not None
        for _ in range(2):
            driver.stdout.readline()
        driver.kill()
    found = ep.embed(
        folder, backbone=FragileBackbone(), workspace=workspace, executor="ray",
        address=two_nodes.address,
    )  # fmt: skip
    local = ep.embed(folder, backbone=FragileBackbone(), workspace=tmp_path / "local")
    assert 0 < found.report.embedded <= 400 - 2 * 64
    assert np.array_equal(found.matrix, local.matrix)


@pytest.mark.slow
def test_a_folder_is_filled_without_a_list_of_its_images(
    two_nodes: Any, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, workspace = photos(150, 3), tmp_path / "w"
    (folder / "class1" / "0001a.png").write_text("no image at all")
    (folder / "class0" / "copy.jpg").write_bytes((folder / "class1" / "0001.jpg").read_bytes())
    (folder / "class0" / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "notes.txt").write_text("no image")
    words = [
        sys.executable, "-m", "embedpipe", "embed", str(folder), "--backbone", "toy", "--json",
        "--executor", "ray", "--address", two_nodes.address, "--workspace", str(workspace),
        "--fill-only",
    ]  # fmt: skip
    first, second = (json.loads(run(words).stdout) for _ in range(2))
    assert (first["items"], first["failed"], first["dim"]) == (153, 2, 48)
    assert first["embedded"] + first["reused"] == 151
    assert first["embedded"] in (150, 151)  # the copy may be in another shard
    assert (second["items"], second["embedded"], second["failed"]) == (153, 0, 2)
    assert second["reused"] == 151
    for found in (first, second):
        failures = sorted((each["path"], each["stage"]) for each in found["failures"])
        assert failures == [("class0/lost.jpg", "read"), ("class1/0001a.png", "decode")]
    words = [word for word in words if word != "--json"]
    ended = run([*words, "--max-failures", "1"])
    assert ended.returncode == 3
    assert "embedpipe: 2 of 153 images of " in ended.stderr
    assert "\n`class1/0001a.png` is not an image" in ended.stderr
    found = ep.embed(folder, backbone="toy", workspace=workspace)
    local = ep.embed(folder, backbone="toy", workspace=tmp_path / "local")
    assert (found.report.embedded, found.report.failed) == (0, 2)
    assert np.array_equal(found.matrix, local.matrix)


def test_fill_only_needs_a_cluster_and_a_folder(tmp_path: Path) -> None:
    for place, options, message in (
        (tmp_path, EmbedOptions(), "--fill-only needs --executor ray, and no --require-cached."),
        (
            tmp_path / "photos.zip",
            EmbedOptions(executor="ray"),
            "--fill-only takes a folder or the address of one, such as s3://bucket/photos; got "
            f"'{tmp_path}/photos.zip'.",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            fill_folder(str(place), Workspace(tmp_path / "w"), options)
        assert str(caught.value) == message


def test_options_without_a_use_for_fill_only(photos: Callable[..., Path], tmp_path: Path) -> None:
    photos(1, 1)
    words = [sys.executable, "-m", "embedpipe", "embed", "photos", "--fill-only"]
    done = run([*words, "--executor", "ray", "--source", "nowhere"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "embedpipe: --fill-only has no use for --source: leave one of them out.\n"
    )


def test_copies_of_a_failed_image_are_failures() -> None:
    broken = Failure("a.jpg", b"a" * 32, "decode", "it is broken")
    known = Failure("old.jpg", b"k" * 32, "decode", "it is old")
    digests: dict[str, bytes | OSError] = {
        "a.jpg": b"a" * 32, "b.jpg": b"b" * 32, "copy.jpg": b"a" * 32, "known.jpg": b"k" * 32
    }  # fmt: skip
    counts, failed = FillCounts(), {b"k" * 32: known}
    result = FillResult(1, {"a.jpg": broken}, 1.0, digests=digests)
    _add(counts, 4, result, None, failed)  # type: ignore[arg-type]
    _add(counts, 1, FillResult(0, {}, 1.0, digests={"late.jpg": b"a" * 32}), None, failed)  # type: ignore[arg-type]
    assert [each.path for each in counts.failures] == ["a.jpg", "copy.jpg", "known.jpg", "late.jpg"]
    assert (counts.items, counts.embedded, counts.reused, counts.failed) == (5, 1, 0, 4)


class _LateRay:
    """A module `ray` whose first workers end after a while, and whose next ones start late.

    They end during their shard, or before it.
    """

    exceptions = SimpleNamespace(RayError=ConnectionError, RayTaskError=ZeroDivisionError)
    cloudpickle = SimpleNamespace(dumps=lambda value: b"")

    def __init__(self, losses: int = 1, before: bool = False) -> None:
        self.now, self.actors = 0.0, 0
        self._losses, self._before = losses, before
        self._answers: list[tuple[float, Any]] = []

    def put(self, value: Any) -> Any:
        return value

    def kill(self, actor: Any) -> None:
        pass

    def remote(self, **how: Any) -> Any:
        return lambda kind: SimpleNamespace(remote=self._make)

    def _make(self, *arguments: Any) -> Any:
        self.actors += 1
        lost = ConnectionError("lost") if self.actors <= self._losses else None
        return SimpleNamespace(
            look=self._method(0.4, ("node", None)),
            open=self._method(0.4, None),
            begin=self._method(0.0, lost if self._before else None),
            embed=self._method(5.0, lost or FillResult(1, {}, 5.0)),
        )

    def _method(self, seconds: float, answer: Any) -> Any:
        def remote(*arguments: Any) -> int:
            self._answers.append((self.now + seconds, answer))
            return len(self._answers) - 1

        return SimpleNamespace(remote=remote)

    def get(self, reference: int) -> Any:
        answer = self._answers[reference][1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, references: list[int], timeout: float | None, **how: Any) -> Any:
        first = min(references, key=lambda each: self._answers[each][0])
        ready = max(self.now, self._answers[first][0])
        if timeout is not None and ready > self.now + timeout:
            self.now += timeout
            return [], references
        self.now = ready
        return [first], []


def test_a_lost_worker_is_replaced_also_long_after_the_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = _LateRay()
    shards = _one_worker(ray, monkeypatch)
    finished = list(shards.run((str(number), None) for number in range(64)))
    assert [count for count, _ in finished] == [64]
    assert ray.actors == 2


def _one_worker(ray: _LateRay, monkeypatch: pytest.MonkeyPatch) -> pool.ShardPool:
    monkeypatch.setattr(pool.time, "monotonic", lambda: ray.now)
    monkeypatch.setattr(pool, "START_SECONDS", 1.0)
    job: Any = SimpleNamespace(store=object())
    check: Any = SimpleNamespace(arguments=(), verify=lambda *seen: None)
    return pool.ShardPool(ray, job, Slots(1, 1, 0), check, None)


def test_a_worker_that_ends_without_work_is_no_loss_of_its_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = _LateRay(2, before=True)
    ((count, result),) = _one_worker(ray, monkeypatch).run(iter([("a.jpg", None)]), 1)
    assert (count, result.embedded, result.failures, ray.actors) == (1, 1, {}, 3)
    with pytest.raises(RunError) as caught:
        list(_one_worker(_LateRay(3, before=True), monkeypatch).run(iter([("a.jpg", None)]), 1))
    assert str(caught.value) == (
        "3 Ray workers ended while they waited for images (lost). If memory ran out, use fewer "
        "--workers."
    )


@pytest.mark.slow
def test_lists_and_known_digests_are_read_on_the_node_of_the_command(two_nodes: Any) -> None:
    with joined_cluster(two_nodes.address) as ray:
        here = ray.get_runtime_context().get_node_id()
        task = task_here(ray, lambda: ray.get_runtime_context().get_node_id())
        assert ray.get([task.remote() for _ in range(4)]) == [here] * 4


@pytest.mark.parametrize("address", ["memory://ws", "local://ws"])
def test_a_workspace_that_workers_cannot_share(address: str) -> None:
    job: Any = SimpleNamespace(store=SimpleNamespace(folder=f"{address}/cache/x"))
    with pytest.raises(UsageError) as caught, contextlib.ExitStack() as context:
        open_pool(None, EmbedOptions(), job, "a.jpg", context)
    assert str(caught.value) == (
        "Ray workers cannot share a workspace at memory:// or local://: give a folder, or an "
        "address such as s3://bucket/workspace."
    )


def test_known_digests_with_null_bytes_at_the_end() -> None:
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(2000)]
    worker = ShardWorker([], b"", 1)
    assert not worker._is_known(digests[0])
    worker._known = np.sort(np.array(digests[:1000], "S32"))
    assert any(digest.endswith(b"\0") for digest in digests[:1000])
    assert all(map(worker._is_known, digests[:1000]))
    assert not any(map(worker._is_known, digests[1000:]))


def test_a_shard_that_ends_workers_is_done_again_and_then_halved() -> None:
    shard = Shard({str(number): None for number in range(5)})
    (again,) = shard.parts()
    assert again.wanted == shard.wanted
    first, second = again.parts()
    assert (list(first.wanted), list(second.wanted)) == (["0", "1"], ["2", "3", "4"])
    first, second = first.parts()
    assert (list(first.wanted), list(second.wanted)) == (["0"], ["1"])
    assert not first.is_given_up
    (last,) = first.parts()
    assert last.is_given_up


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([{"CPU": 1}, {"CPU": 1}], {}, Slots(2, 1, 0)),
        ([{"CPU": 12}], {}, Slots(2, 6, 0)),
        ([{"CPU": 16}, {"CPU": 2}], {}, Slots(9, 2, 0)),
        ([{"CPU": 16}], {"workers": 4}, Slots(4, 4, 0)),
        ([{"CPU": 16}], {"cpus_per_worker": 5}, Slots(3, 5, 0)),
        ([{"CPU": 4}, {"CPU": 32, "GPU": 4}], {}, Slots(4, 8, 1)),
        ([{"CPU": 4}, {"CPU": 32, "GPU": 4}], {"gpus_per_worker": 0}, Slots(9, 4, 0)),
        ([{"CPU": 2}], {"workers": 40}, Slots(40, 1, 0)),
    ],
)
def test_workers_for_the_nodes(
    nodes: list[dict[str, float]], options: dict[str, Any], expected: Slots
) -> None:
    assert slots_for(EmbedOptions(**options), nodes) == expected


def test_no_node_for_a_worker() -> None:
    with pytest.raises(RunError) as caught:
        slots_for(EmbedOptions(cpus_per_worker=8), [{"CPU": 4}])
    assert str(caught.value) == (
        "no node of the Ray cluster has 8 CPUs and 0 GPUs for a worker: give smaller "
        "--cpus-per-worker and --gpus-per-worker, or start nodes with more."
    )
