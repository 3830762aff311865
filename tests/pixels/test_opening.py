"""Supported and refused files, remarks, and the budget of memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from files import GREY, png, saved, tiff
from PIL import Image

from embedpipe._pixels import FORMATS, MAX_PIXELS, DecodeError, decoded, decoding
from embedpipe._pixels.decoding import Budget
from embedpipe._pixels.opening import as_remarks, collect_warnings

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))


def remarks_of(data: bytes) -> tuple[str, ...]:
    return decoded(data, lambda picture: picture.remarks)


def reason(data: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        decoded(data, lambda picture: None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(PHOTO, "EPS"), "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS" + bytes(40), "a Photoshop document"),
        (saved(PHOTO, "ICO"), "an icon (ICO)"),
        (saved(PHOTO, "JPEG2000"), "JPEG 2000"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ],
)
def test_unsupported_formats_are_named(
    data: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)  # PostScript would start Ghostscript
    article = f"it is {name}, an unsupported format. Convert it to PNG or JPEG"
    assert reason(data) == article


def test_other_files_are_explained() -> None:
    assert reason(b"<!DOCTYPE html><html>") == "it is a web page, not an image. Download it again"
    assert reason(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n") == (
        "it is a Git LFS pointer, not the image. Run `git lfs pull`"
    )
    assert reason(b"\0\0\0\x18ftypisom" + bytes(40)) == (
        "it is a video. Rename it to .mp4 and give --every 1s to use its frames"
    )
    assert reason(tiff(np.zeros((4, 4, 3), np.float32))) == (
        "it is a damaged TIFF, or a TIFF of an unsupported kind. Save it as 8-bit RGB"
    )


def test_only_formats_without_helpers_are_read() -> None:
    assert set(FORMATS) == {"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"}


def empty_png(width: int, height: int) -> bytes:
    header = png(np.zeros((1, 1), np.uint8), GREY, 8)
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    body = header[12:16] + size + header[24:29]
    return header[:12] + body + zlib.crc32(body).to_bytes(4, "big") + header[33:]


def test_too_many_pixels_are_refused_by_the_header() -> None:
    assert reason(empty_png(12_000, 10_001)) == (
        "it has 12,000 x 10,001 pixels; the limit is 120,000,000. Reduce the image"
    )
    assert reason(empty_png(50_000, 50_000)) == (
        "it has more than 120,000,000 pixels. Reduce the image"
    )
    assert "file ends early" in reason(empty_png(12_000, 10_000))
    assert MAX_PIXELS == 120_000_000


def test_large_tiles_of_a_small_tiff_are_refused() -> None:
    data = tiff(np.zeros((4, 4), np.uint8), tags={322: ("I", 60_000), 323: ("I", 60_000)})
    assert reason(data) == "it has tiles of 60,000 x 60,000 pixels. Save it with smaller tiles"


LONG_TAG = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\0\0\x06" + bytes(7)


def test_damaged_metadata_are_one_remark() -> None:
    remark = "its metadata (EXIF or TIFF tags) are damaged; its orientation may be lost"
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\x05\0", LONG_TAG):
        data = saved(PHOTO, "JPEG", exif=exif)
        assert remarks_of(data) == (remark,)
        assert remarks_of(data) == (remark,)  # at every call


def test_ordinary_files_have_no_remarks() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}
        assert remarks_of(saved(PHOTO, kind, **options)) == ()


DAMAGE = """
import random, sys
sys.path.insert(0, sys.argv[1])
from embedpipe._pixels import DecodeError, decoded
from test_opening import damaged_files
for data in damaged_files():
    try:
        decoded(data, lambda picture: None)
    except DecodeError:
        pass
"""


def damaged_files() -> list[bytes]:
    """Return files of many kinds with altered bytes or missing ends."""
    noise = random.Random(0)
    kinds = [saved(PHOTO, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM")]
    kinds += [
        saved(PHOTO, "TIFF", compression=name)
        for name in ("tiff_deflate", "tiff_lzw", "jpeg", "packbits")
    ]
    kinds += [saved(PHOTO.convert("1"), "TIFF", compression="group4")]
    kinds += [saved(PHOTO, "MPO", save_all=True, append_images=[PHOTO])]
    kinds += [tiff(np.asarray(PHOTO).astype(np.uint16), deflate=True)]
    found = []
    for whole in kinds:
        for number in range(40):
            data = bytearray(whole)
            for _ in range(1 + number % 5):
                end = len(data) if number % 2 else min(len(data), 300)
                data[noise.randrange(end)] = noise.randrange(256)
            found.append(bytes(data[: len(data) if number % 4 else noise.randrange(len(data))]))
    return found


def test_damaged_files_write_no_output() -> None:
    """No warnings of Python, and no output of C libraries."""
    environment = os.environ | {"PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_warnings_of_other_code_are_still_shown() -> None:
    def other() -> None:
        time.sleep(0.01)
        warnings.warn("from another thread", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="from another thread"):
        thread = threading.Thread(target=other)
        with collect_warnings() as messages:
            thread.start()
            thread.join()
            assert messages == []
    filters, show = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(8) as pool:
        damaged = saved(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        whole = saved(PHOTO, "JPEG")
        found = list(pool.map(remarks_of, [damaged, whole] * 100))
    assert [len(remarks) for remarks in found] == [1, 0] * 100
    assert (list(warnings.filters), warnings.showwarning) == (filters, show)


def test_an_image_is_decoded_alone_after_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, taken = Budget(1000), []
    monkeypatch.setattr(decoding, "budget", budget)
    data = saved(Image.new("RGB", (4, 4)), "PNG")

    def scarce(_: object) -> str:
        taken.append(budget._free)
        if len(taken) == 1:
            raise MemoryError
        return "done"

    assert decoded(data, scarce) == "done"
    assert taken == [1000 - 4 * 4 * 8, 0]

    def none(_: object) -> None:
        raise MemoryError

    with pytest.raises(DecodeError, match="it does not fit into memory. Free some"):
        decoded(data, none)
    assert budget._free == 1000


def test_the_budget_limits_the_sum_over_threads() -> None:
    budget, lock, held, most = Budget(100), threading.Lock(), 0, 0

    def hold(size: int) -> None:
        nonlocal held, most
        with budget.reserve(size):
            with lock:
                held += min(size, 100)
                most = max(most, held)
            time.sleep(0.001)
            with lock:
                held -= min(size, 100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [10, 40, 70, 500, 30, 99] * 10))
    assert 70 < most <= 100
    assert budget._free == 100


def test_warnings_become_remarks() -> None:
    messages = ["Corrupt EXIF data. Expecting to read 4 bytes", "Image size (10 pixels) ex", "Odd"]
    assert as_remarks(messages) == [
        "its metadata (EXIF or TIFF tags) are damaged; its orientation may be lost",
        "Pillow reports: Odd",
    ]
