"""The path of the workspace."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe import Workspace
from embedpipe.cache import collect_garbage, verify
from embedpipe.errors import CacheError, UsageError

NAMES = [
    "ws-2026-11-28T12:00:00",
    "my photos 2",
    'it\'s "quoted"',
    "50%20off%",
    "größe-写真-🙂",
    "a?b#c&d",
    "two\nlines",
    "-ws",
    "back\\slash",
    "s3:bucket",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_folder_name_is_a_workspace(
    name: str, photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = photos(6, 2)
    first = ep.embed(folder, backbone="toy", workspace=name)
    again = ep.embed(folder, backbone="toy", workspace=name)
    assert (first.report.embedded, again.report.reused) == (6, 6)
    assert np.array_equal(first.matrix, again.matrix)
    assert verify(Workspace(name)) == []
    loop = ep.ActiveLoop(again, workspace=name, initial_size=2)
    loop.run(rounds=1, batch_size=1)
    with ep.LabelLog(Workspace(name).labels) as log:
        assert log.classes("nothing") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["photos", name])


def test_the_path_is_fixed_when_the_working_directory_changes(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", "from-the-environment")
    made = [Workspace("given"), Workspace(), Workspace(Path("path"))]
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE")
    made.append(Workspace())
    embeddings = ep.embed(photos(20, 2), backbone="toy", workspace=made[0])
    options = {"strategies": ["random"], "seeds": 1, "pool_share": 1}
    grid = ep.Experiment(embeddings, workspace="given", **options)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path / "b")
    names = ["given", "from-the-environment", "path", ".embedpipe"]
    assert [each.root for each in made] == [tmp_path / "a" / name for name in names]
    assert Workspace(made[0]).root == made[0].root
    assert grid.folder.parent.parent == tmp_path / "a" / "given"


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Workspace("~/w").root == tmp_path / "w"
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", "~")
    assert Workspace().root == tmp_path


@pytest.mark.parametrize(
    "given",
    ["http://h/w", "https://user:secret@h/w?token=secret", "file://h/w", "FTP://h/w"],
)
def test_an_address_that_is_not_on_an_object_store_is_refused(given: str) -> None:
    shown = {"FTP": "ftp://h/w", "http": "http://h/w", "https": "https://h/w"}
    with pytest.raises(UsageError) as caught:
        Workspace(given)
    assert str(caught.value) == (
        f"the workspace {shown.get(given.partition(':')[0], given)!r} is not on an object store: "
        "give a folder, or an address such as s3://bucket/workspace."
    )


@pytest.mark.parametrize("given", ["s3://bucket/ws/", "S3://bucket/ws", Path("s3://bucket/ws")])
def test_an_address_has_a_folder_on_this_machine(
    given: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    workspace = Workspace(given)
    assert str(workspace) == workspace.url == "s3://bucket/ws"
    digest = hashlib.sha256(b"s3://bucket/ws").hexdigest()[:8]
    assert workspace.root == tmp_path / "embedpipe" / "workspaces" / f"bucket-ws-{digest}"
    assert str(workspace.cache) == "s3://bucket/ws/cache"
    items = "datasets/digits/items.parquet"
    assert str(workspace.items_of("digits", remote=True)) == f"s3://bucket/ws/{items}"
    assert workspace.items_of("digits") == workspace.root / items
    assert workspace.labels == workspace.root / "labels.sqlite"
    assert Workspace(workspace).cache == pickle.loads(pickle.dumps(workspace)).cache
    assert not tmp_path.joinpath("embedpipe").exists()


def test_an_address_with_credentials_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        Workspace("s3://AKIA:secret@bucket/ws")
    assert str(caught.value) == (
        "the address 's3://bucket/ws' was given with credentials. Leave them out, and use the "
        "environment, a profile or a role of the storage's own tools."
    )


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_invalid_folders_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match="give a folder"):
        Workspace(given)


def test_an_unreadable_scan_memory_is_not_damaged(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(4, 2)
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    memory = Workspace(tmp_path / "w").items_of(embeddings.dataset.name)
    shutil.move(memory, tmp_path / "kept")
    memory.mkdir()  # what the file system refuses to read as a file
    with pytest.raises(CacheError, match=r"cannot read .*: Is a directory\."):
        collect_garbage(Workspace(tmp_path / "w"))
    assert memory.exists()
