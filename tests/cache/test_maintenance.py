"""Maintenance: unneeded files are removed, used and valid files are kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.cache import collect_garbage, drop_spec, find_spec
from embedpipe.cache.maintenance import UNUSED_DAYS
from embedpipe.cli.main import app
from embedpipe.errors import CacheError, UsageError


@pytest.fixture
def workspace(tmp_path: Path) -> ep.Workspace:
    return ep.Workspace(tmp_path / "workspace")


def call(workspace: ep.Workspace, *words: object) -> tuple[int, str, str]:
    given = [str(each) for each in (*words, "--workspace", workspace.root)]
    result = CliRunner().invoke(app, given)
    return result.exit_code, result.stdout, result.stderr


def reasons(workspace: ep.Workspace, **options: bool) -> dict[str, str]:
    found = collect_garbage(workspace, dry_run=True, **options)
    return {str(each.path.relative_to(workspace.root)): each.reason for each in found}


def age(path: Path, days: float) -> None:
    """Set old times for a folder and its content."""
    then = time.time() - days * 86_400
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))


def test_matrices_of_old_lists_of_items_are_removed(workspace, photos):
    folder = photos(8)
    old = ep.embed(folder, backbone="toy", workspace=workspace).folder
    (folder / "class0" / "0000.jpg").unlink()
    new = ep.embed(folder, backbone="toy", workspace=workspace).folder
    subset = ep.load_dataset(str(photos(6, 2, "more")))
    other = ep.embed(subset, backbone="toy", workspace=workspace).folder
    second = ep.embed(folder, backbone="toy", workspace=workspace, scaled_decode=True).folder
    name = str(old.relative_to(workspace.root))
    assert reasons(workspace) == {name: "stale: no dataset has these items"}
    assert old.is_dir()  # it was a dry run
    status, out, _ = call(workspace, "cache", "gc", "--dry-run", "--json")
    size = sum(path.stat().st_size for path in old.rglob("*"))
    assert status == 0
    assert json.loads(out)["removed"][0]["bytes"] == json.loads(out)["bytes"] == size
    status, out, _ = call(workspace, "cache", "gc")
    assert out.startswith(f"{old}: stale: no dataset has these items (0.0 MB)\n")
    assert [path.is_dir() for path in (old, new, other, second)] == [False, True, True, True]
    items = sorted(workspace.root.glob("datasets/*/items.parquet"))
    assert len(items) == 2
    assert reasons(workspace) == {}


def test_matrices_with_failed_images_and_of_subsets_are_kept(workspace, photos, tmp_path):
    folder = photos(6)
    (folder / "broken.jpg").write_bytes(b"no image")
    ep.embed(folder, backbone="toy", workspace=workspace)
    digits = ep.load_dataset("digits").subset("test")
    ep.embed(digits, backbone="toy", workspace=workspace)
    assert reasons(workspace) == {}
    listing = next(iter(workspace.root.glob("datasets/digits-test/items.parquet")))
    listing.unlink()
    assert list(reasons(workspace).values()) == ["stale: no dataset has these items"]


def test_a_matrix_in_use_is_kept(workspace, photos):
    folder = photos(8)
    script = (
        "import embedpipe as ep, sys\n"
        f"e = ep.embed({str(folder)!r}, backbone='toy', workspace={str(workspace.root)!r})\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(float(e.matrix.sum()))"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdin is not None
    assert user.stdout is not None
    with user:
        assert user.stdout.readline() == "ready\n"
        (folder / "class0" / "0000.jpg").unlink()
        ep.embed(folder, backbone="toy", workspace=workspace)
        assert reasons(workspace) == {}
        assert reasons(workspace, matrices=True) != {}  # that of this process is free again
        found = find_spec(workspace, next(workspace.cache.iterdir()).name[:8])
        with pytest.raises(CacheError, match=r" is in use\. Nothing was removed"):
            drop_spec(workspace, found)
        user.stdin.write("\n")
        user.stdin.flush()
        assert float(user.stdout.readline()) > 0
    assert list(reasons(workspace).values()) == ["stale: no dataset has these items"]


def test_unread_indexes_and_problems_without_a_matrix_are_removed(workspace, photos):
    folder = photos(12)
    embeddings = ep.embed(folder, backbone="toy", workspace=workspace)
    problem = Problem.of(embeddings, 0)
    problem.index.neighbours(2)
    problem.save(workspace.root / "problems" / "one")
    ep.select(embeddings, 3, strategy="typiclust")
    indexes = sorted((embeddings.folder / "index").iterdir())
    assert len(indexes) == 2  # of the pool, and of all items
    age(embeddings.folder, UNUSED_DAYS + 1)
    ep.select(embeddings, 3, strategy="typiclust")  # it reads one of them
    assert reasons(workspace) == {}  # the matrix is used
    place = embeddings.folder
    del embeddings, problem
    (reason,) = set(reasons(workspace).values())
    assert reason == f"stale: an index that was not read for {UNUSED_DAYS} days"
    assert len(reasons(workspace)) == 1
    collect_garbage(workspace)
    assert len(list((place / "index").iterdir())) == 1
    shutil.rmtree(place)
    assert reasons(workspace) == {"problems/one": "stale: its matrix is missing"}


def test_temporary_files_are_found_in_every_folder(workspace, photos):
    ep.embed(photos(4), backbone="toy", workspace=workspace)
    places = ("cache/.tmp-1-a", "exports/.tmp-2-b", "runs/r/.tmp-3-c", "thumbnails/224/ab/.tmp-4-d",
              "datasets/x/.tmp-5-e-items.parquet", "matrices/.tmp-6-f")  # fmt: skip
    for number, place in enumerate(places):
        path = workspace.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            path.write_bytes(b"half")
        else:
            path.mkdir()
            (path / "embeddings.npy").write_bytes(b"half")
    assert reasons(workspace) == {}  # their writers may be at work
    for place in places:
        age(workspace.root / place, 1)
    working = workspace.root / places[0] / "embeddings.npy"
    os.utime(working)  # this one is being written
    assert set(reasons(workspace)) == set(places[1:])
    collect_garbage(workspace)
    assert [(workspace.root / place).exists() for place in places] == [True] + [False] * 5
    assert len(ep.embed(photos(4), backbone="toy", workspace=workspace, require_cached=True)) == 4


def test_a_spec_is_removed_by_the_start_of_its_id(workspace, photos, tmp_path):
    folder = photos(6)
    one = ep.embed(folder, backbone="toy", workspace=workspace).spec
    two = ep.embed(folder, backbone="toy", workspace=workspace, scaled_decode=True).spec
    with pytest.raises(
        UsageError, match=r"^no spec starts with 'x'; give more characters of an id\. Specs in "
    ):
        find_spec(workspace, "x")
    with pytest.raises(UsageError, match=r"^no spec starts with ''"):
        find_spec(workspace, "")
    for each in (one, two):
        assert find_spec(workspace, each.id[:10].upper()).spec_id == each.id
    fake = workspace.cache / (one.id[:20] + "0" * 44)
    fake.mkdir()
    with pytest.raises(UsageError, match=r"^2 specs start with "):
        find_spec(workspace, one.id[:20])
    fake.rmdir()
    status, out, err = call(workspace, "cache", "drop", "--spec", one.id[:10])
    assert (status, out) == (2, "")
    assert "Give --yes to confirm" in err
    status, out, _ = call(workspace, "cache", "drop", "--spec", one.id[:10], "--dry-run", "--json")
    assert (status, json.loads(out)["dry_run"]) == (0, True)
    assert (workspace.cache / one.id).is_dir()
    status, out, _ = call(workspace, "cache", "drop", "--spec", one.id[:10], "--yes", "--json")
    dropped = json.loads(out)
    assert (status, dropped["spec_id"], dropped["bytes"] > 6 * 48 * 4) == (0, one.id, True)
    assert not (workspace.cache / one.id).exists()
    assert not (workspace.matrices / one.id).exists()
    options = {"backbone": "toy", "workspace": workspace}
    assert len(ep.embed(folder, scaled_decode=True, require_cached=True, **options)) == 6
    assert ep.embed(folder, **options).report.embedded == 6
    assert reasons(workspace) == {}
