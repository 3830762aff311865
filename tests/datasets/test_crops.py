"""Crops listed in a manifest with the columns x, y, w and h."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedpipe._pixels import content_id_of, decoded
from embedpipe.datasets import load_dataset, media_source
from embedpipe.errors import DatasetError
from embedpipe.testing import check_dataset
from tests.videos import write_video

WIDTH, HEIGHT = 60, 40


def gradient() -> np.ndarray:
    """Return pixels whose red is 4 x and green 6 y."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([4 * x, 6 * y, np.zeros_like(x)], axis=-1).astype(np.uint8)  # (h, w, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(gradient()).save(tmp_path / "photo.png")
    return tmp_path


def load(folder: Path, *rows: str, header: str = "path,label,x,y,w,h"):
    manifest = folder / "boxes.csv"
    manifest.write_text("\n".join([header, *rows]), "utf-8")
    return load_dataset(manifest)


def pixels_of(source, key):
    return decoded(source.read_one(key), lambda picture: np.asarray(picture.rgb))


def test_rows_are_crops_of_one_image_and_the_whole(folder: Path) -> None:
    dataset = load(folder, "photo.png,hat,10,20,30,15", "photo.png,shoe,0,0,5,5", "photo.png,,,,,")
    assert [(item.id, item.label) for item in dataset.items] == [
        ("photo.png", None),
        ("photo.png#xywh=0,0,5,5", "shoe"),
        ("photo.png#xywh=10,20,30,15", "hat"),
    ]
    crop = pixels_of(dataset.source, "photo.png#xywh=10,20,30,15")
    assert np.array_equal(crop, gradient()[20:35, 10:40])
    assert np.array_equal(pixels_of(dataset.source, "photo.png"), gradient())
    assert len(check_dataset(dataset).passed) >= 8


def test_an_image_is_read_and_decoded_once(folder: Path, monkeypatch) -> None:
    dataset = load(folder, *(f"photo.png,hat,{x},0,5,5" for x in range(20)))
    calls = []

    def counted(content, use):
        calls.append(len(content))
        return decoded(content, use)

    monkeypatch.setattr(media_source, "decoded", counted)
    ids = [item.id for item in dataset.items]
    digests = dict(dataset.source.digests(ids))
    assert (len(digests), calls) == (20, [])
    assert all(content_id_of(image) == digests[key] for key, image in dataset.source.read(ids))
    assert len(calls) == 1


def test_the_content_id_is_of_the_image_and_the_box(folder: Path) -> None:
    source = load(folder, "photo.png,hat,1,2,3,4").source
    digest = hashlib.sha256((folder / "photo.png").read_bytes()).hexdigest()
    expected = hashlib.sha256(f"sha256:{digest}#xywh=1,2,3,4".encode()).digest()
    assert content_id_of(source.read_one("photo.png#xywh=1,2,3,4")) == expected


def test_boxes_are_in_the_upright_image(folder: Path) -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(gradient()).save(buffer, "PNG", exif=exif.tobytes())
    (folder / "turned.png").write_bytes(buffer.getvalue())
    source = load(folder, "turned.png,hat,0,50,10,10").source
    upright = np.rot90(gradient(), -1)
    assert np.array_equal(pixels_of(source, "turned.png#xywh=0,50,10,10"), upright[50:60, 0:10])


@pytest.mark.parametrize(
    ("box", "key", "size", "cut"),
    [
        ("50,30,20,20", "50,30,20,20", (10, 10), True),
        ("-4,-5,10,10", "-4,-5,10,10", (6, 5), True),
        ("0,0,60,40", "0,0,60,40", (60, 40), False),
        ("10.4,9.6,5.2,5", "10,10,6,5", (6, 5), False),
        ("1.5,2.5,1,1", "2,3,1,1", (1, 1), False),
    ],
)
def test_boxes_are_rounded_and_cut_at_the_edge(folder: Path, box, key, size, cut) -> None:
    dataset = load(folder, f"photo.png,hat,{box}")
    (item,) = dataset.items
    assert item.id == f"photo.png#xywh={key}"
    picture = decoded(dataset.source.read_one(item.id), lambda picture: picture)
    assert picture.size == size
    assert picture.remarks == (
        (
            f"its box is cut to {size[0]} x {size[1]} pixels by the edge of the image of 60 x 40 "
            "pixels",
        )
        if cut
        else ()
    )


def test_boxes_outside_and_damaged_images_fail_alone(folder: Path) -> None:
    (folder / "half.png").write_bytes((folder / "photo.png").read_bytes()[:60])
    dataset = load(
        folder,
        "photo.png,hat,60,0,5,5",
        "half.png,hat,0,0,5,5",
        "half.png,hat,9,9,5,5",
        "gone.png,hat,0,0,5,5",
        "photo.png,hat,0,0,5,5",
    )
    found = dict(dataset.source.read([item.id for item in dataset.items]))
    assert str(found["photo.png#xywh=60,0,5,5"]) == (
        "it has a box outside of the image of 60 x 40 pixels. Correct x, y, w and h"
    )
    for box in ("0,0,5,5", "9,9,5,5"):
        reason = str(found[f"half.png#xywh={box}"])
        assert reason == "it is damaged (file ends early). Copy it again from the source"
    assert isinstance(found["gone.png#xywh=0,0,5,5"], FileNotFoundError)
    assert isinstance(found["photo.png#xywh=0,0,5,5"], bytes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "photo.png,hat,1,2,,4",
            "the box x='1', y='2', w='', h='4' must have four numbers, or four blank cells for "
            "the whole image.",
        ),
        (
            "photo.png,hat,a,2,3,4",
            "the box x='a', y='2', w='3', h='4' must have four numbers, or four blank cells for "
            "the whole image.",
        ),
        (
            "photo.png,hat,0.1,0.1,0.5,0.5",
            "the box has w=0.5 and h=0.5; expected at least 1 pixel each. If the numbers are "
            "shares of the image, multiply them by its width and height in pixels.",
        ),
        (
            "photo.png,hat,0,0,9,9\nphoto.png,shoe,0,0,9,9",
            "'photo.png#xywh=0,0,9,9' is listed twice, also in line 2; keep one of them.",
        ),
    ],
)
def test_wrong_boxes_are_refused_with_the_line(folder: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load(folder, *row.split("\n"))
    line = 1 + len(row.split("\n"))
    assert str(caught.value) == f"{folder / 'boxes.csv'}, line {line}: {message}"


def test_other_columns_are_no_boxes(folder: Path) -> None:
    dataset = load(folder, "photo.png,0.5,0.25", header="path,x,y")
    assert [item.id for item in dataset.items] == ["photo.png"]


def test_ids_of_parts_are_paths_of_manifests_too(folder: Path) -> None:
    """A table that `select` or an export wrote is a manifest of the same images."""
    write_video(folder / "clip.mp4", 10)
    dataset = load(
        folder,
        '"photo.png#xywh=1,2,3,4"',
        "clip.mp4#t=0.2",
        '"clip.mp4#t=0.2&xywh=0,0,8,9"',
        header="path",
    )
    sizes = {item.id: image.size for item, image in dataset.images()}
    assert sizes == {
        "photo.png#xywh=1,2,3,4": (3, 4),
        "clip.mp4#t=0.2": (96, 64),
        "clip.mp4#t=0.2&xywh=0,0,8,9": (8, 9),
    }


def test_crops_stay_inside_a_boundary(folder: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    Image.fromarray(gradient()).save(outside)
    (folder / "link.png").symlink_to(outside)
    (folder / "boxes.csv").write_text("path,x,y,w,h\nlink.png,0,0,5,5\n")
    with pytest.raises(DatasetError, match="'link.png' leads to .*secret.png', outside of"):
        load_dataset(folder / "boxes.csv", within=folder)


def test_crops_of_an_archive(folder: Path, pack) -> None:
    archive = pack(folder, ".tar.gz")
    (folder / "boxes.csv").write_text("path,x,y,w,h\nphoto.png,1,2,3,4\n")
    dataset = load_dataset(folder / "boxes.csv", source=archive)
    assert np.array_equal(pixels_of(dataset.source, dataset.items[0].id), gradient()[2:6, 1:4])
