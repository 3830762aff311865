"""Every command on frames, crops, tables, shards and HEIC: growth, damage, the page, exports."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from embedpipe import _pixels
from embedpipe._workspace import Workspace
from embedpipe.datasets import Dataset, load_dataset
from embedpipe.embedding import embed, filling
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog
from embedpipe.server.images import ItemImages
from tests.cli.conftest import Outcome
from tests.conftest import make_image
from tests.videos import write_video

Call = Callable[..., Outcome]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    make_image(seed).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@dataclass(frozen=True)
class Case:
    """A dataset with twelve images and one damaged file, and how it grows by two images."""

    path: Path
    grow: Callable[[], Any]
    options: list[str] = field(default_factory=list)

    def load(self) -> Dataset:
        return load_dataset(self.path, every=self.options[1] if self.options else None)


def frames(folder: Path) -> Case:
    """Two videos of six frames, and a damaged one."""

    def picture(number: int) -> np.ndarray:
        return np.asarray(make_image(number // 5, (96, 64)))

    for name in ("a", "b"):
        write_video(
            folder / f"{name}.mp4", 30, picture=picture, **{"crf": "30" if name == "a" else "20"}
        )
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:900])
    grow = lambda: write_video(folder / "c.mp4", 6, picture=picture)  # noqa: E731
    return Case(folder, grow, ["--every", "200ms"])


def crops(folder: Path) -> Case:
    """Twelve boxes of two images, and one box of a damaged image."""
    rows = [f"{seed}.jpg,{x},{y},20,15" for seed in (1, 2) for x in (0, 10, 20) for y in (0, 16)]
    for seed in (1, 2):
        (folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    (folder / "broken.jpg").write_bytes(jpeg(3)[:200])
    manifest = folder / "boxes.csv"
    manifest.write_text("\n".join(["path,x,y,w,h", *rows, "broken.jpg,0,0,5,5\n"]))

    def grow() -> None:
        with manifest.open("a") as file:
            file.write("1.jpg,5,5,9,9\n2.jpg,5,5,9,9\n")

    return Case(manifest, grow)


def parquet(folder: Path) -> Case:
    """Two shards of six images, and a damaged one."""

    def write(name: str, seeds: range) -> Path:
        rows = [{"bytes": jpeg(seed), "path": None} for seed in seeds]
        table = pa.table({"image": pa.array(rows, STRUCT)})
        pq.write_table(table, folder / name, row_group_size=4)
        return folder / name

    write("a.parquet", range(6))
    whole = write("b.parquet", range(6, 12)).read_bytes()
    (folder / "broken.parquet").write_bytes(whole[:-20])
    return Case(folder, lambda: write("c.parquet", range(12, 14)))


def shards(folder: Path) -> Case:
    """Two shards of six images, and a damaged one."""

    def write(name: str, seeds: range) -> Path:
        with tarfile.open(folder / name, "w") as archive:
            for seed in seeds:
                member = tarfile.TarInfo(f"{seed:03d}.jpg")
                content = jpeg(seed)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return folder / name

    write("a.tar", range(6))
    whole = write("b.tar", range(6, 12)).read_bytes()
    (folder / "broken.tar").write_bytes(whole[:1100])
    return Case(folder, lambda: write("c.tar", range(12, 14)))


def heic(folder: Path) -> Case:
    """Twelve HEIC files, and a damaged one."""
    pillow_heif.register_heif_opener()

    def write(seed: int) -> Path:
        make_image(seed, (64, 48)).save(folder / f"{seed:03d}.heic", quality=80)
        return folder / f"{seed:03d}.heic"

    for seed in range(12):
        write(seed)
    whole = (folder / "000.heic").read_bytes()
    (folder / "broken.heic").write_bytes(whole[: len(whole) // 2])
    return Case(folder, lambda: [write(12), write(13)])


CASES = {each.__name__: each for each in (frames, crops, parquet, shards, heic)}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    (tmp_path / "source").mkdir()
    return CASES[request.param](tmp_path / "source")


def test_commands(call: Call, case: Case, tmp_path: Path) -> None:
    dataset = [case.path, *case.options]
    first = call("embed", *dataset, "--json").json()
    assert (first["items"], first["embedded"], first["failed"]) == (13, 12, 1)
    (failure,) = first["failures"]
    assert "broken" in failure["path"]
    again = call("embed", *dataset, "--json").json()
    assert (again["embedded"], again["reused"], again["failed"]) == (0, 12, 1)
    case.grow()
    grown = call("embed", *dataset, "--json").json()
    assert (grown["embedded"], grown["reused"], grown["failed"]) == (2, 12, 1)
    picks = call("select", *dataset, "-n", 5, "--json").json()["picks"]
    assert len({pick["id"] for pick in picks}) == 5
    checked = call("check", *dataset, "--backbone", "toy", "--json").json()
    assert len(checked["failed"]) == 1
    report = call("report", *dataset, "--backbone", "toy", "--json", "--quiet").json()
    assert "data:image/" in Path(report["report"]).read_text("utf-8")
    labels = tmp_path / "labels.csv"
    rows = [f'"{pick["id"]}",{"ab"[n % 2]}' for n, pick in enumerate(picks)]
    labels.write_text("\n".join(["path,label", *rows]))
    read = call("labels", "import", *dataset, labels, "--format", "csv", "--json")
    assert read.json()["items"] == 5
    tree = tmp_path / "tree"
    written = call("labels", "export", *dataset, "--format", "imagefolder", "--output", tree)
    assert written.status == 0, written.err
    images = [path for path in tree.rglob("*") if path.is_file() and path.suffix != ".json"]
    assert len(images) == 5
    for image in images:
        _pixels.decoded(image.read_bytes(), lambda picture: picture)
    elsewhere = ["--workspace", str(tmp_path / "other")]
    read = call("labels", "import", *dataset, tree, "--format", "imagefolder", "--json", *elsewhere)
    assert read.json()["items"] == 5


def test_the_page_shows_the_images(case: Case, tmp_path: Path) -> None:
    embeddings = embed(case.load(), backbone="toy", workspace=tmp_path / "w")
    images = ItemImages(embeddings, Workspace(tmp_path / "w"))
    for row in range(len(embeddings)):
        for encoded in (images.thumbnail(row), images.picture(row)):
            with Image.open(io.BytesIO(encoded)) as image:
                assert image.format in ("JPEG", "PNG")
                assert max(image.size) >= 9


def test_an_interrupted_run_continues(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_SIZE", 4)

    def stop(stage: str, done: int, _: int) -> None:
        if stage == "embed" and done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(case.load(), backbone="toy", workspace=tmp_path / "w", progress=stop)
    again = embed(case.load(), backbone="toy", workspace=tmp_path / "w").report
    whole = embed(case.load(), backbone="toy", workspace=tmp_path / "v")
    assert again.embedded + again.reused == 12
    assert again.reused >= 4
    repeated = embed(case.load(), backbone="toy", workspace=tmp_path / "w")
    assert np.array_equal(np.asarray(repeated), np.asarray(whole))
    ids = [item.id for item in repeated.items]
    for row in (0, 7, 11):  # rows are aligned with the items
        alone = tuple(item for item in repeated.items if item.id == ids[row])
        single = embed(
            replace(case.load(), items=alone), backbone="toy", workspace=tmp_path / f"x{row}"
        )
        assert np.allclose(np.asarray(single)[0], np.asarray(whole)[row], atol=1e-6)


def test_labels_follow_the_content(tmp_path: Path) -> None:
    """A renamed video keeps its vectors and labels."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_video(folder / "a.mp4", 30)
    embeddings = embed(load_dataset(folder, every="1s"), backbone="toy", workspace=tmp_path / "w")
    with LabelLog(tmp_path / "labels.sqlite") as log:
        LabellingSession(embeddings, log, who="ann").label([0], "hat")
        (folder / "a.mp4").rename(folder / "z.mp4")
        renamed = embed(load_dataset(folder, every="1s"), backbone="toy", workspace=tmp_path / "w")
        assert renamed.report.embedded == 0
        assert LabellingSession(renamed, log, who="ann").labels() == {"z.mp4#t=0.0": "hat"}
