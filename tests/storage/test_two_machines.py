"""Two machines that share a workspace on a store; datasets at addresses in lists and erasures."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.cli.known_workspaces import KnownWorkspace, known_workspaces
from embedpipe.cli.main import app
from embedpipe.datasets.dataset import address_name
from tests.object_store import S3Server

VICTIM = "train/class1/03.png"
TOY = ("--backbone", "toy")


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that continues on the machine of a name: its own data folder."""
    monkeypatch.chdir(tmp_path)
    return lambda name: monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / name))


def call(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in words])
    assert result.exit_code == status, result.output
    return result.stdout


def forget(image: str, workspace: str) -> dict[str, str]:
    """Erase an image, and return the reasons of remaining data by place."""
    done = json.loads(call("cache", "forget", image, "--yes", "--json", "--workspace", workspace))
    return {each["path"]: each["reason"] for each in done["remaining"]}


def test_an_image_is_erased_on_each_machine(
    s3: S3Server, bucket: str, images: Path, on: Any
) -> None:
    workspace, dataset = f"s3://{bucket}/ws", f"s3://{bucket}/images"
    digest = hashlib.sha256((images / VICTIM).read_bytes())
    sizes = ("--initial-size", 29, "--batch-size", 1, "--rounds", 1)  # picks all images
    for machine in ("a", "b"):
        on(machine)
        call("run", dataset, *TOY, *sizes, "--workspace", workspace, "--quiet")
    on("a")
    remaining = forget(f"{dataset}/{VICTIM}", workspace)
    assert remaining[f"other machines that use {workspace}"] == (
        "matrices, labels, runs and pages. Run the same command there with the content id "
        f"{digest.hexdigest()}, and with the address of the image if it has one"
    )
    on("b")
    root = Workspace(workspace).root
    picks = list(root.glob("runs/*/picks.parquet"))
    assert all(VICTIM in pq.read_table(each)["id"].to_pylist() for each in picks)
    (matrix,) = root.glob("matrices/*/*/embeddings.npy")
    assert np.load(matrix).shape[0] == 40
    del matrix
    forget(digest.hexdigest(), workspace)
    assert list(root.glob("matrices/*/*/embeddings.npy")) == []
    forget(f"{dataset}/{VICTIM}", workspace)
    assert picks
    assert not any(VICTIM in pq.read_table(each)["id"].to_pylist() for each in picks)
    call("cache", "forget", "absent.png", "--yes", "--workspace", workspace, status=2)
    call("cache", "forget", f"s3://{bucket}/no/a.png", "--yes", "--workspace", workspace, status=2)
    call("cache", "forget", digest.hexdigest(), "--yes", "--workspace", "w", status=2)


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "archive"])
def test_an_image_at_an_address_is_found_and_remains(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, on: Any, archive: bool
) -> None:
    on("a")
    dataset = f"s3://{bucket}/images"
    if archive:
        zipped = Path(shutil.make_archive(str(tmp_path / "images"), "zip", images))
        s3.client.put_object(Bucket=bucket, Key="images.zip", Body=zipped.read_bytes())
        dataset += ".zip"
    call("embed", dataset, *TOY, "--workspace", "w", "--quiet")
    delete = "Delete it, or the next `embed` stores it again"
    remaining = forget(f"{dataset}/{VICTIM}", "w")
    assert remaining[f"{dataset}/{VICTIM}"] == (
        f"the image at this address, if it still exists. {delete}"
    )
    call("embed", dataset, *TOY, "--workspace", "w", "--quiet")
    remaining = forget(VICTIM, "w")
    place = f"{VICTIM} in {address_name(dataset)}"
    assert remaining[place] == f"the image itself, if it still exists. {delete}"
    assert json.loads(call("cache", "list", "--json", "--workspace", "w"))["specs"][0]["rows"] == 39


def test_different_local_folders_of_one_path_are_not_mixed(
    s3: S3Server,
    bucket: str,
    images: Path,
    tmp_path: Path,
    on: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from embedpipe.embedding import scan

    monkeypatch.setattr(scan, "SETTLED_NS", -60_000_000_000)  # times of the server are in seconds
    workspace, folder = f"s3://{bucket}/ws", tmp_path / "photos"
    for machine, split in (("a", "train"), ("b", "test")):
        on(machine)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(images / split, folder)
        embeddings = ep.embed(folder, backbone="toy", workspace=workspace)
        assert embeddings.vanished == ()
        assert len(embeddings) == {"train": 30, "test": 10}[split]
        assert Workspace(workspace).items_of(embeddings.dataset.name).exists()
    assert not [key for key in s3.keys(bucket) if key.startswith("ws/datasets")]
    # digests of images at addresses are shared
    listed = f"path\n{VICTIM}\n".encode()
    s3.client.put_object(Bucket=bucket, Key="images/list.csv", Body=listed)
    for dataset in (f"s3://{bucket}/images", f"s3://{bucket}/images/list.csv"):
        ep.embed(dataset, backbone="toy", workspace=workspace)
        on("c")
        s3.requests.clear()
        ep.embed(dataset, backbone="toy", workspace=workspace)
        assert not [path for kind, path in s3.requests if kind == "GET" and ".png" in path]
        on("b")
    assert sum(key.startswith("ws/datasets") for key in s3.keys(bucket)) == 2


def test_labels_of_a_dataset_at_an_address_are_found_elsewhere(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, on: Any, monkeypatch: Any
) -> None:
    on("a")
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    dataset = f"s3://{bucket}/images"
    Path("labels.csv").write_text(f"path,label\n{VICTIM},hat\n")
    call("labels", "import", dataset, "labels.csv", "--format", "csv", "--workspace", "w")
    assert known_workspaces() == [
        KnownWorkspace(address_name(dataset), dataset, str(tmp_path / "w"))
    ]
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    form = ("--format", "csv", "--output")
    call("labels", "export", dataset, *form, "out.csv")
    assert f"{VICTIM},hat" in Path("out.csv").read_text()
    # another dataset gets a copy: the images are still at the first address
    call("labels", "export", images, *form, "copy.csv", "--labels-from", dataset)
    assert f"{VICTIM},hat" in Path("copy.csv").read_text()
