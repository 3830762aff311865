"""The UMAP layout: computed in another process, stored, and shown."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embedpipe.index import Index
from embedpipe.index.layouts import map_coordinates, principal_plane, umap_layout
from embedpipe.server.item_map import WORKER
from embedpipe.server.map_worker import LayoutFile
from tests.processes import run
from tests.server.conftest import Lab, Response, make_photos
from tests.server.tabs import Tab

ASKED = "/api/map/points?by=neighbours"
NOT_INSTALLED = "UMAP is not installed: `pip install 'embedpipe[map]'`."


def points_in(answer: Response) -> NDArray[np.uint16]:
    assert answer.status == 200, answer.body
    return np.frombuffer(answer.body, "<u2").reshape(-1, 2)


def wait_for_points(lab: Lab) -> Response:
    end = time.monotonic() + 180
    while (answer := lab.get(ASKED)).status == 202:
        assert time.monotonic() < end, answer.body
        time.sleep(0.05)
    return answer


def kept_file(lab: Lab) -> Path:
    return lab.embeddings.folder / "index" / "map" / "neighbourhoods-points.npy"


def unfinished(lab: Lab) -> list[Path]:
    return list(lab.embeddings.folder.rglob(".tmp-*"))


@dataclass
class Worked:
    """The responses of two servers to simultaneous requests, and the labels set meanwhile."""

    folder: Path
    workspace: Path
    lab: Lab
    first: Response
    stages: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    labelled: dict[str, str]
    answers: tuple[Response, Response]
    loaded: set[str]  # modules of this process that were loaded for the layout


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    """The layout of 24 photos of three classes and a copy, computed once."""
    before = set(sys.modules)  # other tests may have loaded UMAP
    folder = tmp_path_factory.mktemp("map")
    photos, workspace = make_photos(folder / "photos", 24), folder / "workspace"
    shutil.copy(photos / "day0" / "0004.jpg", photos / "day0" / "0099.jpg")
    labs = Lab(photos, workspace), Lab(photos, workspace)
    try:
        first = labs[0].get(ASKED)
        stages: tuple[list[Any], list[Any]] = ([], [])
        labels = {}
        while True:
            answers = labs[0].get(ASKED), labs[1].get(ASKED)
            if any(answer.status != 202 for answer in answers):
                break
            for stage, answer in zip(stages, answers, strict=True):
                stage.append(answer.progress())
            row = len(labels) % 25
            labs[0].post("/api/label", {"rows": [row], "label": "hat"}).json()
            labels[labs[0].session.ids[row]] = "hat"
            time.sleep(0.1)
        answers = wait_for_points(labs[0]), wait_for_points(labs[1])
        loaded = set(sys.modules) - before
        yield Worked(photos, workspace, labs[0], first, stages, labels, answers, loaded)
    finally:
        for lab in labs:
            lab.close()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that the test starts."""
    found: list[subprocess.Popen[str]] = []

    class Noted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return found


@pytest.fixture
def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "umap" else find(name, package),
    )


def test_the_nearest_point_has_the_same_class(worked: Worked) -> None:
    points = points_in(worked.answers[0]).astype(float)
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == [65535, 65535]
    ids = worked.lab.session.ids
    kinds = np.array([4 % 3 if "0099" in path else int(path[-8:-4]) % 3 for path in ids])
    copies = [row for row, path in enumerate(ids) if path.endswith(("0004.jpg", "0099.jpg"))]
    assert points[copies[0]].tolist() == points[copies[1]].tolist()
    away = np.linalg.norm(points[:, None] - points, axis=2)
    away[np.eye(25, dtype=bool)] = np.inf
    assert kinds[away.argmin(axis=1)].tolist() == kinds.tolist()


def test_labelling_continues_during_the_computation(worked: Worked) -> None:
    assert len(worked.labelled) > 5
    assert worked.lab.labels() == worked.labelled
    assert not {"umap", "numba"} & worked.loaded  # the server does not import UMAP


def test_progress_of_the_layout(worked: Worked) -> None:
    assert worked.first.progress() == {"doing": "starting", "share": 0.0}
    assert worked.first.headers["cache-control"] == "no-store"
    # One server's process computes the layout; the other's process waits for the file.
    assert {stage[-1]["doing"] for stage in worked.stages} == {"starting", "layout"}
    order = ["starting", "neighbours", "layout"]
    for stage in worked.stages:
        course = [(order.index(each["doing"]), each["share"]) for each in stage]
        assert course == sorted(course)
        assert all(0 <= share <= 1 for _, share in course)


def test_two_servers_on_one_workspace_get_the_same_layout(worked: Worked) -> None:
    assert worked.answers[0].body == worked.answers[1].body
    folder = worked.lab.embeddings.folder / "index" / "map"
    assert {path.name for path in folder.iterdir()} == {
        "meta.json", "neighbourhoods-points.npy", ".neighbourhoods.lock",
    }  # fmt: skip


def test_a_stored_layout_needs_no_umap(
    worked: Worked, without_umap: None, started: list[Any]
) -> None:
    lab = Lab(worked.folder, worked.workspace)
    try:
        assert lab.get(ASKED).body == worked.answers[0].body
        assert started == []
    finally:
        lab.close()


def test_without_umap_the_error_names_the_package(lab: Lab, without_umap: None) -> None:
    assert lab.get(ASKED).error() == (400, NOT_INSTALLED)
    assert points_in(lab.get("/api/map/points")).shape == (24, 2)


def test_an_unknown_layout_is_refused(lab: Lab) -> None:
    assert lab.get("/api/map/points?by=x").error() == (
        400, "`by` must be components or neighbours.",
    )  # fmt: skip
    given, asked = lab.get("/api/map/points"), lab.get("/api/map/points?by=components")
    assert given.body == asked.body


def test_few_items_have_the_principal_components(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 6))
    assert wait_for_points(lab).body == lab.get("/api/map/points").body


def test_a_damaged_file_is_replaced(
    tmp_path: Path, open_lab: Callable[..., Lab], started: list[Any]
) -> None:
    folder = make_photos(tmp_path / "photos", 6)
    one = open_lab(folder)
    sound = wait_for_points(one).body
    kept = bytearray(kept_file(one).read_bytes())
    kept[-1] ^= 1
    kept_file(one).write_bytes(kept)
    assert one.get(ASKED).body == sound  # from memory
    two = open_lab(folder)
    assert two.get(ASKED).status == 202
    assert wait_for_points(two).body == sound
    assert len(started) == 2
    assert kept_file(two).read_bytes()[-1] == kept[-1] ^ 1


def test_the_process_ends_with_the_server_and_leaves_no_files(
    lab: Lab, started: list[subprocess.Popen[str]]
) -> None:
    assert lab.get(ASKED).status == 202
    (process,) = started
    folder = lab.embeddings.folder / "index" / "map"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f".tmp-{process.pid}-00ff-neighbourhoods-points.npy").write_bytes(b"half")
    lab.server.stop()
    assert process.returncode == -signal.SIGKILL
    assert unfinished(lab) == []


def test_a_killed_process_is_reported_and_replaced(
    lab: Lab, started: list[subprocess.Popen[str]]
) -> None:
    assert lab.get(ASKED).status == 202
    os.kill(started[0].pid, signal.SIGKILL)
    assert wait_for_points(lab).error() == (
        500,
        "computing the layout failed: signal 9 ended the process. Check the free memory.",
    )
    assert lab.get(ASKED).status == 202
    assert len(started) == 2


def test_a_write_error_is_reported(tmp_path: Path, open_lab: Callable[..., Lab]) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 6))
    folder = lab.embeddings.folder / "index" / "map"
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    assert wait_for_points(lab).error() == (
        500,
        "computing the layout failed: embedpipe.errors.CacheError: cannot store "
        f"neighbourhoods in {folder}: File exists: free disk space or permit writing.",
    )


def test_the_process_ends_when_its_input_is_closed(tmp_path: Path) -> None:
    np.save(tmp_path / "matrix.npy", np.zeros((3, 2), dtype=np.float32))
    process = subprocess.Popen(
        [sys.executable, "-m", WORKER, tmp_path / "matrix.npy", tmp_path, "00ff"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    # The process waits for the lock that is held here.
    with process, LayoutFile(tmp_path, "00ff").alone():
        left = tmp_path / "map" / f".tmp-{process.pid}-00ff-meta.json"
        left.write_bytes(b"half")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=90) == 1
    assert not left.exists()


@pytest.mark.parametrize(
    "matrix",
    [np.ones((1, 4)), np.ones((40, 4)), np.zeros((40, 4)), np.tile(np.eye(4), (9, 1))],
    ids=["one item", "all equal", "zeros", "copies of four"],
)
def test_up_to_fifteen_distinct_vectors_keep_the_principal_plane(
    matrix: NDArray[np.float64],
) -> None:
    index = Index(matrix.astype(np.float32))
    found = umap_layout(index, report=lambda doing, share: None)
    plane = map_coordinates(principal_plane(index.matrix, index.rows))
    assert found.dtype == np.dtype("<u2")
    assert np.array_equal(found, plane[index.copy_of])
    assert len(np.unique(found, axis=0)) == len(np.unique(matrix, axis=0))


def test_a_server_starts_without_umap() -> None:
    script = (
        "import sys, embedpipe, embedpipe.server; print({'umap', 'numba'} & sys.modules.keys())"
    )
    assert run([sys.executable, "-c", script]).stdout.split() == ["set()"]


@pytest.fixture
def afresh(worked: Worked) -> Iterator[Lab]:
    """Another server, whose stored layout is damaged, so that UMAP computes it again."""
    kept_file(worked.lab).write_bytes(b"damaged")
    lab = Lab(worked.folder, worked.workspace)
    yield lab
    lab.close()


@pytest.mark.slow
def test_the_layout_is_chosen_by_keyboard(
    worked: Worked, afresh: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(afresh)
    tab.press("Shift+M")
    tab.wait("() => document.querySelector('.tools .note').textContent === '25 images'")
    tab.press(*"+" * 16, *["Shift+ArrowRight"] * 5, "Space")
    tab.wait("() => document.querySelector('.tools .note').textContent.endsWith('selected')")
    tab.wait("() => document.querySelector('.strip img')")
    chosen = tab.text(".tools .note")
    picture = "() => document.querySelector('canvas').toDataURL()"
    box = "() => JSON.stringify(document.querySelector('canvas').getBoundingClientRect())"
    before = tab.page.evaluate(picture), tab.page.evaluate(box)
    tab.press("Shift+Tab", "ArrowDown")
    tab.wait("() => document.querySelector('.working').textContent.startsWith('computing')")
    assert tab.page.evaluate("document.activeElement.tagName") == "CANVAS"
    assert (tab.page.evaluate(picture), tab.page.evaluate(box)) == before
    tab.press("Shift+S", "Shift+M")
    tab.page.wait_for_function(
        "() => document.querySelector('.working').textContent === ''", timeout=180_000
    )
    after = tab.page.evaluate(picture)
    assert after != before[0]
    assert tab.page.evaluate(box) == before[1]
    assert tab.text(".tools .note") == chosen
    tab.press("Shift+S", "Shift+M")
    assert tab.page.input_value("select[aria-label=Layout]") == "neighbours"
    assert afresh.get(ASKED).body == worked.answers[0].body  # to the bit
    tab.press("Shift+Tab", "ArrowUp")
    tab.wait(f"after => ({picture})() !== after", after)
    assert tab.page.evaluate(picture) == before[0]


def test_the_page_names_the_missing_package(
    lab: Lab, without_umap: None, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(lab)
    tab.press("Shift+M")
    tab.wait("() => document.querySelector('.tools .note').textContent === '24 images'")
    tab.page.select_option("select[aria-label=Layout]", "neighbours")
    tab.wait("() => document.querySelector('#message').className === 'on bad'")
    assert tab.text("#message") == f"No map: {NOT_INSTALLED}"
    assert tab.page.input_value("select[aria-label=Layout]") == "components"
    tab.problems.clear()  # the browser's own line about the answer 400


def test_layouts_computed_by_hand() -> None:
    matrix = np.array([[3, 0], [0, 2], [9, 0]], dtype=np.float32)
    squares = 9 * principal_plane(matrix, np.arange(3)) ** 2
    assert squares.round(3).tolist() == [[2.0, 0.0], [8.0, 0.0], [2.0, 0.0]]
    plane = np.array([[-1.0, 5.0], [1.0, 5.0], [0.0, 5.0]])
    assert map_coordinates(plane).tolist() == [[0, 0], [65535, 0], [32768, 0]]
    copies = np.array([[3, 0], [0, 2], [3, 0]], dtype=np.float32)
    assert umap_layout(Index(copies), report=print)[:, 1].tolist() == [0, 0, 0]


def test_a_layout_of_another_matrix_is_not_read(tmp_path: Path) -> None:
    LayoutFile(tmp_path, "00ff").write(np.array([[1, 2]], dtype="<u2"))
    found = LayoutFile(tmp_path, "00ff").read()
    assert found is not None
    assert found.tolist() == [[1, 2]]
    assert LayoutFile(tmp_path, "01ff").read() is None
