"""Hostile files are failures; all other images are embedded."""

from __future__ import annotations

import bz2
import json
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

LIMIT = 3_000_000
"""Limit of the address space, in kilobytes."""


def photo(path: Path, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    return path.read_bytes()


def flat_png(path: Path, width: int, height: int) -> None:
    """Write a black 24-bit PNG row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer, row = zlib.compressobj(1), bytes(1 + 3 * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def bomb(packer: Any, size: int) -> bytes:
    """Return `size` zeros, packed block by block."""
    block = bytes(1 << 24)
    return b"".join(packer.compress(block) for _ in range(size >> 24)) + packer.flush()


def add_member(path: Path, name: str, method: int, packed: bytes, size: int) -> None:
    """Add a member with a wrong stated size to a zip archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, packed)
        info = archive.getinfo(name)
        start, stated = info.header_offset, min(size, 0xFFFFFFF0)
        info.compress_type, info.file_size = method, stated
    raw = bytearray(path.read_bytes())
    raw[start + 8 : start + 10] = method.to_bytes(2, "little")
    path.write_bytes(raw)


def embed(dataset: Path, workspace: Path, *more: str) -> tuple[dict[str, Any], dict[str, str], str]:
    """Run `embed` with a memory limit; return its result, the failures and standard error."""
    command = str(Path(sys.executable).with_name("embedpipe"))
    options = ["--backbone", "toy", "--workspace", str(workspace), "--json", *more]
    done = subprocess.run(
        [command, "embed", str(dataset), *options],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT << 10,) * 2),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    files = workspace / "cache" / result["spec_id"] / "failures"
    rows = [row for file in files.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return result, {row["path"]: row["error"] for row in rows}, done.stderr


@pytest.mark.slow
def test_zip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(6):
            archive.writestr(f"{number}.jpg", photo(tmp_path / "photo", number))
    add_member(path, "b1.png", 12, bomb(bz2.BZ2Compressor(), 1 << 30), 1000)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = bomb(deflate, 2 << 30)
    add_member(path, "b2.png", 8, packed, 1000)
    add_member(path, "b3.png", 8, packed, 7 << 30)
    result, failures, _ = embed(path, tmp_path / "w")
    assert (result["embedded"], result["failed"]) == (6, 3)
    assert {name: error[:40] for name, error in failures.items()} == {
        "b1.png": "it unpacks to more than the 1,000 bytes ",
        "b2.png": "it unpacks to more than the 1,000 bytes ",
        "b3.png": "it has 4,294,967,280 bytes; the limit is",
    }


def test_postscript_is_a_failure_and_damaged_metadata_a_remark(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        photo(folder / f"{number}.jpg", number)
    Image.new("RGB", (8, 8)).save(folder / "a.png", "EPS")
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(folder / "deep.tif")
    Image.new("RGB", (9, 9)).save(folder / "e.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    result, failures, stderr = embed(folder, tmp_path / "w")
    assert (result["embedded"], result["failed"]) == (6, 1)
    assert failures == {
        "a.png": "it is PostScript, an unsupported format. Convert it to PNG or JPEG"
    }
    deep = "its values go up to 4,095 in samples of 16 bits: they are read as 12 bits"
    metadata = "its metadata (EXIF or TIFF tags) are damaged; its orientation may be lost"
    assert result["remarks"] == [
        {"path": "deep.tif", "remark": deep},
        {"path": "e.jpg", "remark": metadata},
    ]
    assert [line for line in stderr.splitlines() if "an unsupported format" not in line] == [
        f"`deep.tif`: {deep}.",
        f"`e.jpg`: {metadata}.",
    ]
    assert "Warning" not in stderr
    again, _, stderr = embed(folder, tmp_path / "w")
    assert (again["embedded"], again["remarks"]) == (0, [])  # reported once
    assert "deep.tif" not in stderr


PEAK = r"""
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from embedpipe._pixels import decoded
files = [path.read_bytes() for path in Path(sys.argv[1]).glob("b*.png")]
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda data: decoded(data, lambda picture: picture.rgb.reduce(100)), files))
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_images_of_many_pixels(tmp_path: Path) -> None:
    """Images of 177 million pixels are refused; those of 100 million are decoded one at a time."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        photo(folder / f"{number}.jpg", number)
    flat_png(folder / "a0.png", 13_300, 13_300)
    flat_png(folder / "b0.png", 10_000, 10_000)
    for kind in "ab":
        whole = (folder / f"{kind}0.png").read_bytes()
        for number in range(1, 8):
            (folder / f"{kind}{number}.png").write_bytes(whole + bytes([number]))
    result, failures, stderr = embed(folder, tmp_path / "w")
    assert (result["embedded"], result["failed"]) == (16, 8)
    assert set(failures) == {f"a{number}.png" for number in range(8)}
    assert set(failures.values()) == {
        "it has 13,300 x 13,300 pixels; the limit is 120,000,000. Reduce the image"
    }
    assert "Warning" not in stderr
    peak = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True
    )
    # Kilobytes: one image needs 400 MB, and eight threads share this budget.
    assert int(peak.stdout) < 700_000
