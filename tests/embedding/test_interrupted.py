"""Interrupted runs, and the scan memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedpipe.backbones import DecodeError, Preprocess, ToyBackbone, decode
from embedpipe.cache import Spec, Store, list_specs
from embedpipe.datasets import load_dataset
from embedpipe.embedding import embed, filling, scan
from embedpipe.embedding.encoding import Encoding
from embedpipe.embedding.parts import Part

from embedpipe._workspace import Workspace  # isort: skip


def interrupt_at(stage: str, count: int) -> Callable[[str, int, int], None]:
    def progress(now: str, done: int, total: int) -> None:
        if now == stage and done >= count:
            raise KeyboardInterrupt

    return progress


def test_an_interruption_keeps_finished_vectors(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_SIZE", 4)
    dataset, workspace = load_dataset(str(photos(20, 2))), tmp_path / "w"
    with pytest.raises(KeyboardInterrupt):
        embed(dataset, backbone="toy", workspace=workspace, progress=interrupt_at("embed", 8))
    (spec,) = list_specs(Workspace(workspace))
    assert spec["rows"] == 8
    again = embed(dataset, backbone="toy", workspace=workspace)
    assert (again.report.embedded, again.report.reused) == (12, 8)


class Source:
    """Images in the order of their item ids; `read_so_far` counts them."""

    read_so_far = 0

    def read(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        images = filling.canary_images()
        for number, item_id in enumerate(ids):
            self.read_so_far += 1
            yield item_id, images[number % len(images)]


class AtOnce:
    """An executor that has finished each call when `submit` returns."""

    def __init__(self, threads: int) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = Future[Any]()
        future.set_result(function(*arguments))
        return future


def test_finished_work_does_not_wait_for_more_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_SIZE", 2)
    monkeypatch.setattr(filling, "ThreadPoolExecutor", AtOnce)
    backbone = ToyBackbone()
    spec = Spec(backbone.identity, backbone.preprocess.as_spec(), "fp32")
    store = Store(Workspace(tmp_path), spec)
    store.create()
    filler = filling.Filler([Encoding(Part(backbone, backbone.preprocess), store, "auto")])
    source, seen = Source(), []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((done, source.read_so_far))

    images = filling.canary_images()
    wanted = {f"{n:02}": hashlib.sha256(images[n % 4]).digest() for n in range(8)}
    filler.fill(source, wanted, progress=progress)  # type: ignore[arg-type]
    assert seen == [(2, 4), (4, 6), (6, 8), (8, 8)]
    source.read_so_far, seen[:] = 0, []
    unknown = dict.fromkeys(f"{n:02}" for n in range(20))
    filler.fill(source, unknown, is_known=[lambda _: True], progress=progress)  # type: ignore[arg-type]
    assert seen == [(8, 16), (16, 20), (20, 20)]


def test_an_interrupted_scan_stores_no_unverified_digest(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, current = photos(6, 2, "one"), tmp_path / "other", tmp_path / "current"
    shutil.copytree(one, other)
    paths = sorted(path.relative_to(other) for path in other.rglob("*.jpg"))
    for path, following in zip(paths, [*paths[1:], paths[0]], strict=True):
        shutil.copy(one / following, other / path)
    long_ago = time.time() - 600
    for path in (*one.rglob("*.jpg"), *other.rglob("*.jpg")):
        os.utime(path, (long_ago, long_ago))
    monkeypatch.setattr(scan, "SETTLED_NS", 0)
    current.symlink_to(one)
    options = {"backbone": "toy", "workspace": tmp_path / "w"}
    embed(load_dataset(str(current)), **options)  # type: ignore[arg-type]
    current.unlink()
    current.symlink_to(other)
    monkeypatch.setattr(scan, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        embed(load_dataset(str(current)), progress=interrupt_at("scan", 3), **options)  # type: ignore[arg-type]
    found = embed(load_dataset(str(current)), **options)  # type: ignore[arg-type]
    plain = embed(load_dataset(str(other)), backbone="toy", workspace=tmp_path / "fresh")
    assert np.array_equal(found.matrix, plain.matrix)


def test_unreadable_files_are_failures_without_a_digest(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(4, 2)
    (folder / "class0" / "absent.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = embed(load_dataset(str(folder)), backbone="toy", workspace=tmp_path / "w")
    store = Store(Workspace(tmp_path / "w"), found.spec)
    rows = [row for path in (store.folder / "failures").iterdir() for row in read(path)]
    assert [(row["path"], row["content_id"], row["stage"]) for row in rows] == [
        ("class0/absent.jpg", None, "read")
    ]


def read(path: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
    return rows


def test_an_image_too_narrow_to_resize_is_a_failure() -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1, 3000)).save(buffer, "PNG")
    half = (0.5, 0.5, 0.5)
    with pytest.raises(DecodeError) as caught:
        decode(buffer.getvalue(), Preprocess((224, 224), 256, "bicubic", half, half))
    assert str(caught.value) == "it has 1 x 3,000 pixels, too narrow for resizing. Crop the image"


def test_a_link_to_a_folder_above_is_not_followed(photos: Callable[..., Path]) -> None:
    folder = photos(4, 2)
    photos(3, 1, "beside")
    (folder / "class0" / "up").symlink_to(folder.parent)
    assert len(load_dataset(str(folder))) == 4


def test_images_in_unsupported_formats_are_counted(photos: Callable[..., Path]) -> None:
    folder = photos(4, 2)
    (folder / "class0" / "a.JXL").write_bytes(b"x")
    (folder / "class0" / "notes.txt").write_bytes(b"x")
    assert load_dataset(str(folder)).skipped == {".jxl": 1}
