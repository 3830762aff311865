"""Commands that only read work in a read-only workspace."""

from __future__ import annotations

import gc
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.labels import Event


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command with the workspace."""

    def run(*arguments: object) -> tuple[int, str, str]:
        words = [str(each) for each in arguments]
        words += ["--workspace", str(tmp_path / "workspace")]
        result = CliRunner().invoke(app, words)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def sealed(photos: Callable[..., Path], tmp_path: Path) -> Iterator[Path]:
    """Twelve embedded photos with a label log; the workspace is mounted read-only."""
    folder, workspace = photos(12), tmp_path / "workspace"
    embeddings = ep.embed(folder, backbone="toy", workspace=workspace)
    with ep.LabelLog(workspace / "labels.sqlite") as log:
        events = [
            Event("label", embeddings.dataset.name, item.id, content, label=item.label)
            for item, content in zip(embeddings.items, embeddings.content_ids, strict=True)
        ]
        log.append(events[:8])
    del embeddings  # so that its matrix is not in use
    bind = subprocess.run(["mount", "--bind", workspace, workspace], check=False)
    if bind.returncode:
        pytest.skip("needs the right to mount a folder read-only")
    subprocess.run(["mount", "-o", "remount,ro,bind", workspace], check=True)
    try:
        with pytest.raises(OSError, match="Read-only file system"):
            (workspace / "x").touch()
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", workspace], check=True)


def test_reading_commands_work(
    sealed: Path, call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (sealed / "class0" / "0003.jpg").unlink()  # a new list of items, which has no matrix
    head, toy = tmp_path / "head.safetensors", ("--backbone", "toy")
    for words in (
        ("embed", sealed, *toy),
        ("embed", sealed / "class1" / "0001.jpg", *toy),
        ("select", sealed, "-n", 3, *toy),
        ("train", sealed, "--output", head, *toy),
        ("predict", sealed, "--model", head, *toy),
        ("check", sealed, *toy),
        ("labels", "export", sealed, "--output", tmp_path / "out.csv", "--format", "csv"),
        ("cache", "list"),
        ("cache", "verify"),
        ("cache", "gc", "--dry-run"),
    ):
        status, out, err = call(*words)
        assert status == 0, (words, err)
        assert "Traceback" not in err
        assert out
    assert "read-only: the scan of this dataset is not stored" in call("embed", sealed, *toy)[2]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 8  # a header and seven labels
    result = json.loads(call("embed", sealed, *toy, "--json", "--quiet")[1])
    assert (result["items"], result["reused"]) == (11, 11)


def test_writing_commands_fail_in_one_line(
    sealed: Path, call: Callable[..., tuple[int, str, str]], photos: Callable[..., Path]
) -> None:
    new = photos(14, 2, "new")
    spec = next((sealed.parent / "workspace" / "cache").iterdir()).name
    gc.collect()  # close the files of earlier commands
    for words in (
        ("embed", new, "--backbone", "toy"),
        ("run", sealed, "--backbone", "toy", "--rounds", 1, "--initial-size", 2, "--batch-size", 2),
        ("cache", "drop", "--spec", spec, "--yes"),
        ("cache", "forget", sealed / "class0" / "0000.jpg", "--yes"),
    ):
        status, out, err = call(*words, "--quiet")
        gc.collect()
        assert (status, out) == (1, ""), words
        assert err.count("\n") == 1, err
        assert "Read-only file system" in err
    with ep.LabelLog(sealed.parent / "workspace" / "labels.sqlite") as log:
        with pytest.raises(ep.errors.LabelError, match="cannot be written"):
            log.append([Event("label", "x", "a.jpg", label="b")])
        assert len(log.current(ep.load_dataset(str(sealed)).name)) == 8
