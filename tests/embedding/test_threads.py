"""Threads of embedding: the same vectors on any number, and the profile of their stages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.backbones import Preprocess, ToyBackbone
from embedpipe.embedding import StageProfile, filling

SECONDS = 0.05
"""Seconds for a batch: longer than reading and decoding it."""


class CountingBackbone(ToyBackbone):
    """A backbone that records how many threads encode at once."""

    def __init__(self, streams: int | None) -> None:
        self._streams = streams
        self._inside, self.most = 0, 0
        self._lock = threading.Lock()

    def open(self, **given: object) -> object:
        encoder = super().open(**given)  # type: ignore[arg-type]
        if self._streams is not None:
            encoder.streams = self._streams  # type: ignore[attr-defined]
        return encoder

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        time.sleep(SECONDS)
        vectors = super().encode(pixels)
        with self._lock:
            self._inside -= 1
        return vectors


def fragments(workspace: Path) -> list[str]:
    return sorted(path.name for path in workspace.glob("cache/*/fragments/*.parquet"))


def test_fragments_are_the_same_on_any_number_of_threads(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_SIZE", 4)
    monkeypatch.setattr(filling, "FRAGMENT_ROWS", 16)
    folder = photos(50)
    (folder / "class1" / "0001a.jpg").write_text("not an image")
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(filling, "available_cpus", lambda count=threads: count)
        workspace = tmp_path / f"w{threads}"
        embeddings = ep.embed(folder, backbone="toy", workspace=workspace)
        assert (embeddings.report.embedded, embeddings.report.failed) == (50, 1)
        found.append((fragments(workspace), embeddings.digest))
    assert len(found[0][0]) > 1
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("streams", "expected"), [(None, 1), (2, 2)])
def test_batches_are_encoded_at_once_only_if_the_encoder_allows_it(
    streams: int | None,
    expected: int,
    photos: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filling, "BATCH_SIZE", 2)
    monkeypatch.setattr(filling, "available_cpus", lambda: 4)
    backbone = CountingBackbone(streams)
    embeddings = ep.embed(photos(40), backbone=backbone, workspace=tmp_path / "w")
    assert backbone.most == expected
    profile = embeddings.report.profile
    assert profile is not None
    assert (profile.images, profile.threads, profile.streams) == (40, 4, expected)
    assert profile.busy["encode"] >= 20 * SECONDS
    assert profile.bottleneck == "encode"
    assert profile.ideal == 40 / (profile.busy["encode"] / expected)
    again = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / "w")
    assert again.report.profile is None


def test_the_bottleneck_is_the_stage_with_the_most_work_for_its_threads() -> None:
    def profile(read: float, decode: float, encode: float, streams: int) -> StageProfile:
        busy = {"read": read, "decode": decode, "encode": encode, "write": 0.5}
        return StageProfile(100, 10.0, 4, streams, busy)

    assert profile(1, 20, 8, 4).bottleneck == "decode"
    assert profile(1, 20, 8, 4).ideal == 100 / 7  # (20 + 8) / 4 seconds
    assert profile(1, 20, 8, 1).bottleneck == "encode"
    assert profile(1, 20, 8, 1).ideal == 100 / 8
    assert profile(9, 20, 8, 1).bottleneck == "read"
    assert profile(9, 20, 8, 1).ideal == 100 / 9.5
    assert profile(1, 20, 8, 4).shares == {
        "read": 0.1, "decode": 0.5, "encode": 0.2, "write": 0.05
    }  # fmt: skip
    both = profile(1, 20, 8, 4).plus(profile(2, 1, 1, 4))
    assert (both.images, both.seconds, both.busy["read"]) == (200, 20.0, 3.0)


@pytest.mark.parametrize(("cache", "sizes"), [(1 << 20, [8, 8, 4]), (2 << 20, [16, 16, 4])])
def test_large_inputs_and_small_caches_have_smaller_batches(
    monkeypatch: pytest.MonkeyPatch, cache: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(filling, "second_level_cache", lambda: cache)

    def size(side: int) -> int:
        preprocess = Preprocess((side, side), side, "bicubic", (0, 0, 0), (1, 1, 1))
        return filling.batch_size_of(preprocess, "openvino")

    assert [size(side) for side in (32, 224, 448, 600, 2000)] == [*sizes, 2, 1]
