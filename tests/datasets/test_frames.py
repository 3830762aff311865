"""Frames of videos as images: times, pixels, ids, digests, and damaged videos."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from embedpipe._pixels import DecodeError, content_id_of, decoded
from embedpipe._pixels import video as video_module
from embedpipe._pixels.video import end_of, frames_at
from embedpipe.datasets import load_dataset, media_source
from embedpipe.datasets.media_fragments import read_interval
from embedpipe.errors import DatasetError, UsageError
from embedpipe.testing import check_dataset
from tests.videos import STEP, turn, write_video

RED, GREEN = (220, 30, 30), (30, 200, 40)
KINDS = {
    "closed groups": (".mp4", "libx264", {"bf": "3"}),
    "open groups": (".mp4", "libx264", {"x264-params": "open-gop=1:keyint=10:scenecut=0"}),
    "matroska": (".mkv", "libx264", {}),
    "mpeg-2": (".mpg", "mpeg2video", {"bf": "2", "qmax": "2"}),
    "avi": (".avi", "mpeg4", {"qmax": "2"}),
}


def pixels_of(source, key):
    return decoded(source.read_one(key), lambda picture: np.asarray(picture.rgb).astype(int))


def number_of(frame) -> int:
    return round(float(np.mean(frame)) / STEP)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_exact_in_any_choice_of_times(tmp_path: Path, kind: str) -> None:
    suffix, codec, options = KINDS[kind]
    path = str(write_video(tmp_path / f"clip{suffix}", 50, codec=codec, **options))
    assert end_of(path) == 2
    times = [Fraction(number, 25) for number in range(50)]
    frames = [frame for _, frame in frames_at(path, times)]
    assert [number_of(frame) for frame in frames] == list(range(50))
    rng = random.Random(0)
    for _ in range(8):
        some = sorted(rng.sample(range(50), rng.randint(1, 4)))
        found = list(frames_at(path, [times[number] + Fraction(1, 100) for number in some]))
        for number, (_, frame) in zip(some, found, strict=True):
            assert np.array_equal(frame, frames[number])


def test_ids_items_and_pixels(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4")
    dataset = load_dataset(tmp_path / "clip.mp4", every="500ms")
    ids = [f"clip.mp4#t={time}" for time in ("0.0", "0.5", "1.0", "1.5")]
    assert [item.id for item in dataset.items] == ids
    numbers = [number_of(pixels_of(dataset.source, key)) for key in ids]
    assert numbers == [0, 12, 25, 37]
    assert dataset.source.path(ids[2]) == f"{tmp_path / 'clip.mp4'}#t=1.0"
    assert load_dataset([tmp_path / "clip.mp4", tmp_path / "clip.mp4"][:1], every=1).items == (
        load_dataset(tmp_path / "clip.mp4", every="1s").items
    )


def test_a_folder_has_images_and_frames_with_its_labels(tmp_path: Path, make) -> None:
    make(tmp_path, ["train/hat/a.png", "test/hat/b.png", "test/shoe/c.png"])
    (tmp_path / "train/shoe").mkdir()
    write_video(tmp_path / "train/shoe/clip.mp4")
    dataset = load_dataset(tmp_path, every="1s")
    frames = [item for item in dataset.items if "#" in item.id]
    assert [(i.id, i.label, i.split) for i in frames] == [
        ("train/shoe/clip.mp4#t=0.0", "shoe", "train"),
        ("train/shoe/clip.mp4#t=1.0", "shoe", "train"),
    ]
    assert len(check_dataset(dataset).passed) >= 8
    without = load_dataset(tmp_path)
    assert (len(without), without.skipped) == (3, {".mp4": 1})
    assert without.name == dataset.name  # labels and vectors are shared
    assert without.source.folder == tmp_path
    assert without.source.stamp(frames[0].id) == dataset.source.stamp(frames[0].id)  # not missing


def test_content_ids_need_no_decoding_and_survive_a_rename(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "a.mp4")
    dataset = load_dataset(tmp_path, every="1s")
    monkeypatch.setattr("embedpipe.datasets.media_source.frames_at", None)
    digests = dict(dataset.source.digests([item.id for item in dataset.items]))
    digest = hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest()
    assert digests["a.mp4#t=1.0"] == hashlib.sha256(f"sha256:{digest}#t=1.0".encode()).digest()
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    renamed = load_dataset(tmp_path, every="1s").source.digests(["b.mp4#t=0.0", "b.mp4#t=1.0"])
    assert list(dict(renamed).values()) == list(digests.values())
    assert dict(renamed) == {}


def test_a_growing_folder_keeps_its_ids(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mp4")
    before = {item.id for item in load_dataset(tmp_path, every="1s").items}
    write_video(tmp_path / "a.mp4", 10)
    after = {item.id for item in load_dataset(tmp_path, every="500ms").items}
    assert before < after


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_videos_are_upright(tmp_path: Path, degrees: int) -> None:
    """The stored frame is red on the left; a rotation turns it clockwise."""

    def picture(_number):
        pixels = np.full((64, 96, 3), GREEN, np.uint8)
        pixels[:, :48] = RED
        return pixels

    turn(write_video(tmp_path / "clip.mp4", 3, picture=picture), degrees)
    source = load_dataset(tmp_path / "clip.mp4", every="1s").source
    pixels = pixels_of(source, "clip.mp4#t=0.0")
    assert pixels.shape[:2] == ((96, 64) if degrees in (90, 270) else (64, 96))
    expected = np.rot90(picture(0), -degrees // 90)
    assert np.abs(pixels - expected).mean() < 12


def test_a_truncated_video_has_its_frames_until_the_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", 50, picture=noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    dataset = load_dataset(path, every="100ms")
    contents = dict(dataset.source.read([item.id for item in dataset.items]))
    assert 3 < sum(isinstance(content, bytes) for content in contents.values()) < 20
    for frame in contents.values():
        assert isinstance(frame, bytes) or "copy it again" in str(frame).lower()


def noise(number):
    return np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def test_damaged_videos_are_one_failure_each(tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(write_video(tmp_path / "a.mp4").read_bytes()[:1000])
    (tmp_path / "empty.mkv").write_bytes(b"")
    (tmp_path / "playlist.mov").write_text("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n")
    dataset = load_dataset(tmp_path, every="1s")
    contents = dict(dataset.source.read([item.id for item in dataset.items]))
    failed = {key: str(error) for key, error in contents.items() if isinstance(error, OSError)}
    assert set(failed) == {"cut.mp4", "empty.mkv", "playlist.mov"}
    for reason in failed.values():
        assert reason.startswith("it is damaged (")
        assert reason.endswith("Copy it again from the source")
    digests = dict(dataset.source.digests(list(contents)))
    assert all(content_id_of(content) == digests[key] for key, content in contents.items())
    with pytest.raises(DatasetError, match=r"cut.mp4` is damaged \(.*\). Copy it again"):
        load_dataset(tmp_path / "cut.mp4", every="1s")


def test_titles_in_other_encodings_and_unknown_formats(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.mkv").read_bytes()
    assert data.count(b"Lavf") > 0
    (tmp_path / "a.mkv").write_bytes(data.replace(b"Lavf", b"Caf\xe9"))
    data = write_video(tmp_path / "b.mp4").read_bytes()
    assert data.count(b"avc1") > 0
    (tmp_path / "b.mp4").write_bytes(data.replace(b"avc1", b"zzzz"))
    dataset = load_dataset(tmp_path, every="1s")
    contents = dict(dataset.source.read([item.id for item in dataset.items]))
    assert set(contents) == {"a.mkv#t=0.0", "a.mkv#t=1.0", "b.mp4"}
    assert isinstance(contents["a.mkv#t=1.0"], bytes)
    reason = "it is a video in an unsupported format. Convert it to H.264"
    assert str(contents["b.mp4"]) == reason


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 3)
    os.mkfifo(tmp_path / "pipe.mp4")
    dataset = load_dataset(tmp_path, every="1s")
    assert [item.id for item in dataset.items] == ["clip.mp4#t=0.0"]
    ((_, error),) = dataset.source.read(["pipe.mp4#t=0.0"])
    assert str(error) == "it is not a file but a pipe, a device or a socket"


def test_a_changed_video_is_read_and_hashed_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    source = load_dataset(path, every="1s").source
    before = source.read_one("clip.mp4#t=1.0")
    path.unlink()
    write_video(path, picture=lambda _: np.zeros((64, 96, 3), np.uint8))
    after = source.read_one("clip.mp4#t=1.0")
    assert content_id_of(after) != content_id_of(before)
    path.unlink()
    ((_, missing),) = source.read(["clip.mp4#t=1.0"])
    assert isinstance(missing, OSError)
    assert source.stamp("clip.mp4#t=1.0") is None


def test_times_after_the_end_and_other_ids_fail(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4")
    source = pickle.loads(pickle.dumps(load_dataset(tmp_path, every="1s").source))
    found = dict(source.read(["clip.mp4#t=9.0", "clip.mp4", "clip.mp4#t=1.0"]))
    assert str(found["clip.mp4#t=9.0"]) == (
        "it is after the end of the video at 2.00 s. If the video should be longer, copy it again "
        "from the source"
    )
    assert str(found["clip.mp4"]) == ("it is a video. Name a frame of it, such as clip.mp4#t=0.0")
    assert isinstance(found["clip.mp4#t=1.0"], bytes)


def test_videos_need_an_interval_and_pyav(tmp_path: Path, monkeypatch) -> None:
    path = write_video(tmp_path / "clip.mp4")
    for given in (path, [path, path.with_name("b.mp4")][:1]):
        with pytest.raises(DatasetError) as caught:
            load_dataset(given)
        assert str(caught.value) == (
            f"'{path}' is a video: give --every 1s (in Python, `every=\"1s\"`) to use one frame of "
            "each second."
        )
    with pytest.raises(UsageError, match="the time between frames needs a video or a folder"):
        load_dataset("digits", every="1s")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path, every="1s")
    assert str(caught.value) == ("frames of videos need PyAV: `pip install 'embedpipe[video]'`.")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("0.5", Fraction(1, 2)), ("40ms", Fraction(1, 25)), ("2min", 120), ("1h", 3600)],
)
def test_intervals(text: str, seconds: Fraction) -> None:
    assert read_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "1 day", "0.5ms", "1.2.3s"])
def test_wrong_intervals(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_interval(text)
    assert str(caught.value) == (
        "the time between frames must be at least 1 ms in whole milliseconds, such as 1s, 500ms or "
        f"2min; got {text!r}."
    )


def test_too_many_frames_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(media_source, "MAX_FRAMES", 100)
    write_video(tmp_path / "clip.mp4")
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path, every="1ms")
    assert str(caught.value) == (
        "'clip.mp4' lasts 2 s and has 2,000 frames at intervals of 0.001 s; the limit is 100. Give "
        "a longer --every."
    )


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(video_module, "MAX_PIXELS", 1000)
    path = str(write_video(tmp_path / "clip.mp4", 3))
    ((_, error),) = frames_at(path, [Fraction(0)])
    assert isinstance(error, DecodeError)
    assert str(error) == "it has 96 x 64 pixels; the limit is 1,000. Reduce the video"
