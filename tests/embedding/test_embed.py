"""Embedding of real folders: new, reused and failed images, and killed runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedpipe._workspace import Workspace
from embedpipe.backbones import Preprocess, get_backbone
from embedpipe.cache import verify
from embedpipe.datasets import load_dataset
from embedpipe.embedding import Embeddings, EmbedOptions, embed
from embedpipe.embedding.scan import scan
from embedpipe.errors import DatasetError, UsageError


@pytest.fixture
def embedded(tmp_path: Path) -> Callable[..., Embeddings]:
    def run(path: Path, **options: object) -> Embeddings:
        options = {"workspace": tmp_path / "workspace", "backbone": "toy", **options}
        return embed(load_dataset(str(path)), **options)  # type: ignore[arg-type]

    return run


def counts(embeddings: Embeddings) -> tuple[int, int, int]:
    report = embeddings.report
    assert report.items == report.embedded + report.reused + report.failed
    return report.embedded, report.reused, report.failed


def test_only_new_images_are_embedded(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    folder = photos(12)
    assert counts(embedded(folder)) == (12, 0, 0)
    assert counts(embedded(folder)) == (0, 12, 0)
    (folder / "class0" / "0000.jpg").rename(folder / "class1" / "moved.jpg")
    shutil.copy(folder / "class2" / "0002.jpg", folder / "class0" / "copy.jpg")
    assert counts(embedded(folder)) == (0, 13, 0)
    Image.new("RGB", (30, 30), "teal").save(folder / "class2" / "0005.jpg")
    assert counts(embedded(folder)) == (1, 12, 0)


def test_rows_follow_items(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    folder = photos(9)
    found = embedded(folder)
    assert [item.id for item in found.items] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")
    )
    shuffled = [4, 1, 7]
    for row in shuffled:
        alone = embedded(folder).matrix[row]
        pixels_of_one = folder / found.items[row].id
        single = pixels_of_one.parent.parent.parent / f"alone{row}"
        single.mkdir()
        shutil.copy(pixels_of_one, single)
        assert np.array_equal(embedded(single).matrix[0], alone)


def test_damaged_images_are_failures_and_rows_stay_aligned(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings], tmp_path: Path
) -> None:
    folder = photos(9)
    whole = embedded(folder)
    (folder / "class0" / "0000a.jpg").write_bytes(b"")
    (folder / "class1" / "0001a.png").write_text("no image at all")
    cut = folder / "class1" / "0004.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    (folder / "class2" / "absent.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = embedded(folder)
    assert counts(found) == (0, 8, 4)
    reasons = {failure.path: (failure.stage, failure.error) for failure in found.failures}
    assert reasons.pop("class1/0004.jpg")[0] == "decode"
    assert reasons == {
        "class0/0000a.jpg": ("decode", "it is empty. Copy it again from the source"),
        "class1/0001a.png": ("decode", "it is not an image in a supported format"),
        "class2/absent.jpg": ("read", "it cannot be read (No such file or directory)"),
    }
    expected = {item.id: row for item, row in zip(whole.items, whole.matrix, strict=True)}
    assert len(found.items) == 8
    for item, row in zip(found.items, found.matrix, strict=True):
        assert np.array_equal(row, expected[item.id])


def test_failures_are_skipped_without_retry_failed(
    photos: Callable[..., Path],
    embedded: Callable[..., Embeddings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from embedpipe.backbones import DecodeError
    from embedpipe.embedding import filling

    folder, decode = photos(6), filling.decode_each

    def failing(data: bytes, preprocesses: Sequence[Preprocess]) -> object:
        if data == (folder / "class1" / "0001.jpg").read_bytes():
            return [DecodeError("a codec is missing")]
        return decode(data, preprocesses)

    monkeypatch.setattr(filling, "decode_each", failing)
    assert counts(embedded(folder)) == (5, 0, 1)
    monkeypatch.setattr(filling, "decode_each", decode)  # the codec is installed
    assert counts(embedded(folder)) == (0, 5, 1)
    assert counts(embedded(folder, retry_failed=True)) == (1, 5, 0)
    assert counts(embedded(folder)) == (0, 6, 0)


def test_a_folder_of_damaged_images_is_an_error(
    tmp_path: Path, embedded: Callable[..., Embeddings]
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.jpg").write_text("x")
    with pytest.raises(DatasetError) as caught:
        embedded(folder)
    name = load_dataset(str(folder)).name
    assert str(caught.value) == (
        f"none of the 1 images of {name!r} could be embedded. `a.jpg` is not an image in a "
        "supported format."
    )


def test_an_archive_and_its_folder_share_their_vectors(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings], tmp_path: Path
) -> None:
    folder = photos(8)
    packed = tmp_path / "photos.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.rglob("*.jpg"):
            archive.write(path, path.relative_to(folder.parent))
    from_archive = embedded(packed)
    assert counts(from_archive) == (8, 0, 0)
    from_folder = embedded(folder)
    assert counts(from_folder) == (0, 8, 0)
    assert from_folder.items == from_archive.items
    assert np.array_equal(from_folder.matrix, from_archive.matrix)


def test_an_edit_with_the_same_size_and_time_is_found(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    folder = photos(4)
    old = time.time() - 60
    for path in folder.rglob("*.jpg"):
        os.utime(path, (old, old))
    embedded(folder)
    path = folder / "class0" / "0000.jpg"
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    os.utime(path, (old, old))
    assert counts(embedded(folder)) == (1, 3, 0)


def test_an_unchanged_folder_is_not_read_again(
    photos: Callable[..., Path],
    embedded: Callable[..., Embeddings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = photos(5)
    monkeypatch.setattr("embedpipe.embedding.scan.SETTLED_NS", 0)
    first = embedded(folder)
    dataset = load_dataset(str(folder))
    read: list[str] = []
    source = type(dataset.source)
    plain = source.read

    def recorded(self: object, ids: list[str]) -> object:
        read.extend(ids)
        return plain(self, ids)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "read", recorded)
    assert np.array_equal(embedded(folder).matrix, first.matrix)
    assert read == []
    (folder / "class0" / "0000.jpg").touch()
    embedded(folder)
    assert read == ["class0/0000.jpg"]


def test_a_scan_that_was_not_stored_is_stored_later_without_reading_again(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedpipe.embedding.scan.SETTLED_NS", 0)
    dataset, first, second = load_dataset(photos(5)), tmp_path / "first", tmp_path / "second"
    before = scan(dataset, Workspace(first), store=False)
    assert (before.hashed, first.exists()) == (5, False)
    later = scan(dataset, Workspace(second), earlier=before)
    assert (later.hashed, later.content_ids) == (0, before.content_ids)
    assert scan(dataset, Workspace(second)).hashed == 0


def test_a_damaged_scan_memory_is_ignored(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings], tmp_path: Path
) -> None:
    folder = photos(5)
    first = embedded(folder)
    memory = Workspace(tmp_path / "workspace").items_of(first.dataset.name)
    for damage in (b"", memory.read_bytes()[:100], b"PAR1 not parquet PAR1"):
        memory.write_bytes(damage)
        again = embedded(folder)
        assert counts(again) == (0, 5, 0)
        assert again.content_ids == first.content_ids


def test_options_are_part_of_the_spec_only_if_they_change_vectors(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    folder = photos(3)
    plain = embedded(folder, precision="fp32").spec.id
    assert embedded(folder, precision="fp32", runtime="torch").spec.id == plain
    assert embedded(folder, precision="bf16").spec.id != plain
    assert embedded(folder, precision="fp32", scaled_decode=True).spec.id != plain


def test_invalid_options() -> None:
    dataset = load_dataset("digits").subset("test")
    with pytest.raises(UsageError) as caught:
        embed(dataset, backbon="toy")
    known = ", ".join(EmbedOptions.__dataclass_fields__)
    assert str(caught.value) == f"embed() has no option 'backbon'; it has: {known}."
    with pytest.raises(UsageError, match="unknown precision 'fp8': use auto, fp32 or bf16"):
        embed(dataset, backbone="toy", precision="fp8")


def test_embeddings_are_usable_as_an_array(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    found = embedded(photos(6))
    array = np.asarray(found)
    assert np.shares_memory(array, found.matrix)
    assert np.asarray(found, dtype=np.float64).dtype == np.float64
    assert found.shape == array.shape == (6, 48)
    assert len(found) == 6


def test_progress_counts_every_item_once(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    calls: dict[str, list[tuple[int, int]]] = {}
    embedded(photos(10), progress=lambda stage, *n: calls.setdefault(stage, []).append(n))
    assert calls["scan"] == [(done, 10) for done in range(1, 11)]
    assert calls["embed"][-1] == (10, 10)


def command(folder: Path, workspace: Path) -> list[str]:
    return [
        sys.executable, "-m", "embedpipe", "embed", str(folder), "--backbone", "toy",
        "--precision", "fp32", "--workspace", str(workspace), "--quiet",
    ]  # fmt: skip


def test_killed_runs_give_the_same_result_in_the_end(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, workspace = photos(400, 4), tmp_path / "killed"
    undisturbed = embed(
        load_dataset(str(folder)), workspace=tmp_path / "calm", backbone="toy", precision="fp32"
    )
    for tenths in range(3, 12):
        process = subprocess.Popen(command(folder, workspace))
        time.sleep(tenths / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command(folder, workspace), check=True).returncode == 0
    again = embed(load_dataset(str(folder)), workspace=workspace, backbone="toy", precision="fp32")
    assert again.report.embedded == 0
    assert np.array_equal(again.matrix, undisturbed.matrix)
    assert verify(Workspace(workspace)) == []


def test_processes_may_embed_the_same_folder_at_once(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, workspace = photos(150, 3), tmp_path / "shared"
    processes = [subprocess.Popen(command(folder, workspace)) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = embed(load_dataset(str(folder)), workspace=workspace, backbone="toy", precision="fp32")
    assert counts(found) == (0, 150, 0)
    calm = embed(
        load_dataset(str(folder)), workspace=tmp_path / "calm", backbone="toy", precision="fp32"
    )
    assert np.array_equal(found.matrix, calm.matrix)
    assert verify(Workspace(workspace)) == []


def test_threads_may_share_a_workspace(
    photos: Callable[..., Path], embedded: Callable[..., Embeddings]
) -> None:
    folder, found = photos(60, 3), []
    threads = [
        threading.Thread(target=lambda: found.append(embedded(folder).matrix)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_the_real_backbone_equals_timm_on_real_photos(shared_data: Path, tmp_path: Path) -> None:
    import torch
    from timm.data import create_transform, resolve_model_data_config

    folder = tmp_path / "photos"
    folder.mkdir()
    with zipfile.ZipFile(shared_data / "clothing-dataset-small.zip") as archive:
        names = [n for n in archive.namelist() if "/test/" in n and n.endswith(".jpg")][::40]
        for name in names:
            (folder / Path(name).name).write_bytes(archive.read(name))
    options = EmbedOptions(precision="fp32")
    found = embed(load_dataset(str(folder)), workspace=tmp_path / "w", options=options)
    network = get_backbone().module  # type: ignore[attr-defined]
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    images = [Image.open(folder / item.id).convert("RGB") for item in found.items]
    with torch.inference_mode():
        expected = network(torch.stack([transform(image) for image in images])).numpy()
    lengths = np.linalg.norm(expected, axis=1)
    assert len(found) == len(names)
    assert (np.linalg.norm(found.matrix - expected, axis=1) / lengths).max() < 1e-4


def test_ray_gives_the_same_result_as_one_process(
    photos: Callable[..., Path],
    embedded: Callable[..., Embeddings],
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray", reason="needs Ray")
    folder = photos(30)
    (folder / "class1" / "0001a.png").write_text("no image at all")
    spread = embedded(folder, executor="ray", address="local", workspace=tmp_path / "ray")
    assert counts(spread) == (30, 0, 1)
    assert np.array_equal(spread.matrix, embedded(folder).matrix)
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    again = embedded(folder, executor="ray", workspace=tmp_path / "ray")
    assert counts(again) == (0, 30, 1)


@pytest.mark.slow
def test_killed_runs_of_the_real_backbone(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    calm = embed(digits, workspace=tmp_path / "calm")
    line = [
        sys.executable, "-m", "embedpipe", "embed", "digits", "--workspace",
        str(tmp_path / "killed"), "--quiet",
    ]  # fmt: skip
    for seconds in (2, 8, 12, 17):
        process = subprocess.Popen(line)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(line, check=True)
    again = embed(digits, workspace=tmp_path / "killed")
    assert again.report.embedded == 0
    assert np.array_equal(again.matrix, calm.matrix)
