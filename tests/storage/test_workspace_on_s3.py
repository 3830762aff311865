"""A workspace on an object store: the same vectors as in a folder, whatever the store answers."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe._storage import ObjectPath
from embedpipe._workspace import Workspace
from embedpipe.cache import Store, collect_garbage, drop_spec, find_spec, list_specs, verify
from embedpipe.cache.fragments import _content_ids_of_object, fragment_paths
from embedpipe.cli.main import app
from embedpipe.embedding import Embeddings, filling
from embedpipe.errors import DamagedFileError, NotCachedError
from tests.object_store import Faults, S3Server
from tests.storage.test_sources import assert_not_written

PROGRAM = Path(__file__).with_name("embed_slowly.py")


def assert_same(remote: Embeddings, local: Embeddings) -> None:
    """Check that nothing is lost or doubled, and that every vector is equal to the byte."""
    assert remote.items == local.items
    assert remote.matrix.tobytes() == local.matrix.tobytes()
    assert not remote.failures


def assert_rows_are_distinct(workspace: str, spec: ep.Spec, count: int) -> None:
    """Check that the fragments are whole and have each image once."""
    store = Store(Workspace(workspace), spec)
    ids = store.content_ids().to_pylist()
    assert len(ids) == len(set(ids)) == count
    assert verify(Workspace(workspace)) == []


def test_vectors_equal_those_of_folders(s3: S3Server, bucket: str, images: Path, tmp_path: Path):
    local = ep.embed(images, backbone="toy", workspace=tmp_path / "w")
    workspace = f"s3://{bucket}/ws"
    remote = ep.embed(f"s3://{bucket}/images", backbone="toy", workspace=workspace)
    assert_same(remote, local)
    assert_rows_are_distinct(workspace, remote.spec, 40)
    # the objects are the files of a workspace in a folder, under the same names
    spec = remote.spec.id
    keys = {key.removeprefix("ws/") for key in s3.keys(bucket) if key.startswith("ws/")}
    here = {p.relative_to(tmp_path / "w").as_posix() for p in (tmp_path / "w").rglob("*.*")}
    assert {key for key in keys if "fragments" not in key and "datasets" not in key} == {
        f"cache/{spec}/spec.json", f"cache/{spec}/canary.json",
    }  # fmt: skip
    assert {key for key in keys if "fragments" in key} == {
        each for each in here if "fragments" in each
    }
    assert not any("tmp" in key for key in keys)
    # a folder that was copied to the store is a workspace there
    s3.upload(tmp_path / "w", bucket, "copy/")
    copied = ep.embed(images, backbone="toy", workspace=f"s3://{bucket}/copy")
    assert (copied.report.embedded, copied.report.reused) == (0, 40)
    with pytest.raises(NotCachedError):
        ep.embed(images, backbone="toy", workspace=f"s3://{bucket}/new", require_cached=True)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(throttled=0.1), marks=pytest.mark.slow),
        pytest.param(Faults(lost=0.1), marks=pytest.mark.slow),
        pytest.param(Faults(late=0.3, seconds=0.3), marks=pytest.mark.slow),
        Faults(throttled=0.1, lost=0.1, late=0.1, seconds=0.2),
        pytest.param(Faults("GET", throttled=0.1, late=0.1, seconds=0.1), marks=pytest.mark.slow),
    ],
    ids=["throttled", "answer lost", "late", "all", "reads"],
)
def test_failing_requests_lose_and_double_nothing(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
) -> None:  # fmt: skip
    monkeypatch.setattr(filling, "FRAGMENT_ROWS", 2)
    monkeypatch.setattr(filling, "BATCH_SIZE", 2)
    local = ep.embed(images, backbone="toy", workspace=tmp_path / "w")
    workspace = f"s3://{bucket}/ws"
    with s3.failing(faults):
        remote = ep.embed(f"s3://{bucket}/images", backbone="toy", workspace=workspace)
        assert s3.injected
    assert remote.report.embedded == 40
    assert_same(remote, local)
    assert_rows_are_distinct(workspace, remote.spec, 40)


def count_of_writes(s3: S3Server, workspace: str) -> int:
    begin = workspace.removeprefix("s3:/") + "/"
    return sum(method == "PUT" and path.startswith(begin) for method, path in list(s3.requests))


def kill_and_repeat(
    s3: S3Server, images: str, workspace: str, local: Embeddings, rng: random.Random
) -> int:
    """Kill a program at a random instant, and finish its work; return the rows that it wrote."""
    with s3.serving_a_program(), s3.failing(Faults(late=1.0, seconds=0.05)):
        command = [sys.executable, str(PROGRAM), images, workspace]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        writes = rng.randrange(14)  # of the spec, the scan memory, the canary and 10 fragments
        while process.poll() is None and count_of_writes(s3, workspace) < writes:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.06)
        process.kill()
        process.wait()
        process.stdout.close()
    store = Store(Workspace(workspace), local.spec)
    written = len(store.content_ids())
    assert verify(Workspace(workspace)) == []
    again = ep.embed(images, backbone="toy", workspace=workspace)
    assert again.report.embedded == 40 - written
    assert_same(again, local)
    assert_rows_are_distinct(workspace, local.spec, 40)
    return written


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_at_a_random_instant_loses_and_doubles_nothing(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, times: int
) -> None:
    local = ep.embed(images, backbone="toy", workspace=tmp_path / "w")
    rng = random.Random(times)
    written = [
        kill_and_repeat(s3, f"s3://{bucket}/images", f"s3://{bucket}/ws{number}", local, rng)
        for number in range(times)
    ]
    if times > 10:
        assert len(set(written)) > 3, written  # at different instants


def test_fragments_are_read_page_by_page_and_in_parallel(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    monkeypatch.setattr(filling, "FRAGMENT_ROWS", 1)
    monkeypatch.setattr(filling, "BATCH_SIZE", 1)
    local = ep.embed(images, backbone="toy", workspace=tmp_path / "w")
    workspace = f"s3://{bucket}/ws"
    remote = ep.embed(f"s3://{bucket}/images", backbone="toy", workspace=workspace)
    assert len(fragment_paths(Store(Workspace(workspace), remote.spec).folder / "fragments")) == 40
    shutil.rmtree(Workspace(workspace).root)
    s3.requests.clear()
    again = ep.embed(f"s3://{bucket}/images", backbone="toy", workspace=workspace)
    assert_same(again, local)
    fragments = [path for method, path in s3.requests if method == "GET" and ".parquet" in path]
    # from each fragment, the content ids at most once, and the vectors once
    assert len(fragments) <= 40 * 2 + 1


def test_damage_is_found_and_removed(s3: S3Server, bucket: str, images: Path) -> None:
    workspace = Workspace(f"s3://{bucket}/ws")
    first = ep.embed(images, backbone="toy", workspace=workspace)
    store = Store(workspace, first.spec)
    (path,) = fragment_paths(store.folder / "fragments")
    assert isinstance(path, ObjectPath)
    whole = path.read_bytes()
    path.write(whole[:-1] + b"?")
    (store.folder / "canary.json").write(b"{}")
    (store.folder / "notes.txt").write(b"mine")
    memory = workspace.items_of(first.dataset.name)  # of a local folder, so on this machine
    memory.write_bytes(b"PAR1 not")  # type: ignore[union-attr]
    found = {str(each.path): each.reason for each in verify(workspace)}
    assert found == {
        str(path): "truncated",
        str(store.folder / "canary.json"): "altered: its content does not match its digest",
        str(store.folder / "notes.txt"): "not a file of this cache",
        str(memory): "a scan memory that is damaged",
    }
    _content_ids_of_object.cache_clear()  # as in another process
    with pytest.raises(DamagedFileError):
        ep.embed(images, backbone="toy", workspace=workspace)
    removed = collect_garbage(workspace)
    assert {str(each.path): each.size for each in removed} == {
        str(path): len(whole), str(store.folder / "canary.json"): 2,
    }  # fmt: skip
    again = ep.embed(images, backbone="toy", workspace=workspace)
    assert again.report.embedded == 40
    assert again.matrix.tobytes() == first.matrix.tobytes()
    (spec,) = list_specs(workspace)
    assert (spec["rows"], spec["fragments"], spec["failed"]) == (40, 1, 0)
    shutil.rmtree(workspace.matrices)  # of this process, so in use
    found_spec = find_spec(workspace, store.spec.id[:8])
    sizes = [s3.client.head_object(Bucket=bucket, Key=key)["ContentLength"]
             for key in s3.keys(bucket) if key.startswith("ws/cache")]  # fmt: skip
    assert found_spec.size == sum(sizes)
    drop_spec(workspace, found_spec)
    assert [key for key in s3.keys(bucket) if key.startswith("ws/cache")] == []


def test_commands_work_and_write_no_credentials(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace, dataset = f"s3://{bucket}/ws", f"s3://{bucket}/images"
    root = Workspace(workspace).root

    def call(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, [*words, "--workspace", workspace])
        assert (result.exit_code, result.exception) == (status, None), result.output
        return result.output

    toy = ("--backbone", "toy")
    assert f"matrices, labels and runs of {workspace} are in {root}\n" in call(
        "embed", dataset, *toy
    )
    assert len(call("select", dataset, "-n", "5", *toy, "--quiet").splitlines()) == 5
    sizes = ("--initial-size", "4", "--batch-size", "2", "--rounds", "1")
    assert f"report: {root}/runs/" in call("run", dataset, *toy, *sizes)
    assert "0  unreadable images" in call("check", dataset, *toy)
    (tmp_path / "labels.csv").write_text(
        "path,label\ntrain/class1/01.png,class1\ntrain/class0/02.png,class0\n"
    )
    call("labels", "import", dataset, "labels.csv", "--format", "csv")
    call("train", dataset, *toy, "--labels", "labels.csv", "--output", "head.npz")
    assert "40 rows" in call("cache", "list")
    assert call("cache", "verify") == "no file is damaged\n"
    call("cache", "gc", "--matrices")
    output = call("cache", "forget", "train/class1/01.png", "--yes")
    assert f"REMAINS {workspace}: earlier versions" in output
    assert json.loads(call("cache", "list", "--json"))["specs"][0]["rows"] == 39
    for key in s3.keys(bucket):
        path = tmp_path / "downloaded" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    secrets = {s3.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert_not_written(tmp_path / "downloaded", secrets)
    assert_not_written(root, secrets)


def test_a_signed_address_is_not_written_by_commands(
    s3: S3Server, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = Path(shutil.make_archive(str(tmp_path / "images"), "zip", images))
    s3.client.put_object(Bucket=bucket, Key="images.zip", Body=archive.read_bytes())
    url = s3.client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "images.zip"})
    sizes = ("--initial-size", "4", "--batch-size", "2", "--rounds", "1")
    words = ["run", url, "--backbone", "toy", *sizes, "--workspace", "w", "--json"]
    monkeypatch.setattr(sys, "argv", ["embedpipe", *words])
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "Signature" not in result.output
    assert "X-Amz" not in result.output
    assert_not_written(tmp_path / "w", {"Signature=", s3.environment["AWS_ACCESS_KEY_ID"]})
    report = next((tmp_path / "w" / "runs").rglob("report.html")).read_text()
    assert f"embedpipe run {s3.url}/{bucket}/images.zip --backbone toy" in report


def test_a_store_that_refuses_writes_is_read(
    s3: S3Server, bucket: str, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = f"s3://{bucket}/ws"
    first = ep.embed(images, backbone="toy", workspace=workspace)

    def refuse(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Access Denied", workspace)

    monkeypatch.setattr(ObjectPath, "write", refuse)
    again = ep.embed(images, backbone="toy", workspace=workspace)
    assert again.matrix.tobytes() == first.matrix.tobytes()
