"""Limits of size and memory for a single file or member."""

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import pytest

from embedpipe.datasets import load_dataset, source
from embedpipe.datasets.source import FolderSource
from embedpipe.errors import DatasetError

SMALL = b"image bytes"


def zip_of(path, entries):
    """Write a zip archive; an entry is a name, a method, packed bytes, and the stated size."""
    body, directory = b"", b""
    for name, method, packed, size, crc in entries:
        raw = name.encode()
        fields = (method, 0, 33, crc, len(packed), size, len(raw), 0)
        head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, *fields)
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, *fields, 0, 0, 0, 0, len(body)
        )
        directory += raw
        body += head + raw + packed
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    path.write_bytes(body + directory + end)
    return path


def small(name):
    return name, 0, SMALL, len(SMALL), zlib.crc32(SMALL)


def deflated(content):
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKERS = {"deflate": (8, deflated), "bzip2": (12, bz2.compress), "stored": (0, bytes)}


def read(path):
    dataset = load_dataset(path)
    return dict(dataset.source.read([item.id for item in dataset.items]))


@pytest.mark.parametrize("packer", PACKERS)
def test_a_zip_member_larger_than_stated(tmp_path, packer):
    method, pack = PACKERS[packer]
    bomb = "bomb.png", method, pack(bytes(1 << 24)), 1000, 0
    found = read(zip_of(tmp_path / "x.zip", [small("a.png"), bomb, small("z.png")]))
    assert str(found.pop("bomb.png")) == (
        "it unpacks to more than the 1,000 bytes stated by the archive. Create the archive again"
    )
    assert found == {"a.png": SMALL, "z.png": SMALL}


@pytest.mark.parametrize("packer", PACKERS)
def test_a_zip_member_with_a_stated_size_above_the_limit(tmp_path, packer):
    method, pack = PACKERS[packer]
    bomb = "bomb.png", method, pack(b"0"), 0xFFFFFFF0, 0
    found = read(zip_of(tmp_path / "x.zip", [small("a.png"), bomb]))
    assert str(found["bomb.png"]) == (
        "it has 4,294,967,280 bytes; the limit is 536,870,912. Reduce the image"
    )
    assert found["a.png"] == SMALL


def test_a_member_that_ends_beyond_the_archive(tmp_path):
    path = zip_of(tmp_path / "x.zip", [small("a.png"), ("b.png", 8, b"0123", 9, 0)])
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\1\2") + 20
    raw[at : at + 4] = (100_000_000).to_bytes(4, "little")
    path.write_bytes(raw)
    found = read(path)
    assert str(found["b.png"]) == (
        "it is damaged in the archive (ends beyond the archive). Copy the archive again "
        "from the source"
    )
    assert found["a.png"] == SMALL


PEAK = r"""
import re, sys
from pathlib import Path
from embedpipe.datasets import load_dataset
dataset = load_dataset(sys.argv[1])
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
found = dict(dataset.source.read([item.id for item in dataset.items]))
print(peak() - before, sorted(id for id, value in found.items() if isinstance(value, bytes)))
"""


@pytest.mark.parametrize("packer", ["deflate", "bzip2"])
def test_memory_for_a_zip_bomb(tmp_path, packer):
    """The member unpacks to 120 MB."""
    method, pack = PACKERS[packer]
    bomb = "bomb.png", method, pack(bytes(120 << 20)), 1000, 0
    path = zip_of(tmp_path / "x.zip", [small("a.png"), bomb, small("z.png")])
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True
    )
    kilobytes, _, read_well = done.stdout.partition(" ")
    assert read_well.strip() == "['a.png', 'z.png']"
    assert int(kilobytes) < 40_000


@pytest.mark.parametrize("opened", [open, gzip.open, bz2.open, lzma.open])
def test_a_tar_member_above_the_limit(tmp_path, monkeypatch, opened):
    monkeypatch.setattr("embedpipe.datasets.tar_source.MAX_BYTES", 1000)
    path = tmp_path / "x.tar.gz"
    with opened(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in (("a.png", SMALL), ("bomb.png", bytes(9000)), ("z.png", SMALL)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    found = read(path)
    assert str(found.pop("bomb.png")).startswith("it has 9,000 bytes; the limit is")
    assert found == {"a.png": SMALL, "z.png": SMALL}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_tar_header_with_a_stated_size_of_gigabytes(tmp_path, kind):
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 5 << 30
    image = tarfile.TarInfo("a.png")
    image.size = len(SMALL)
    path = tmp_path / "x.tar"
    path.write_bytes(image.tobuf() + SMALL.ljust(512, b"\0") + header.tobuf() + bytes(10_240))
    with pytest.raises(DatasetError, match=r"a header at byte 1536 states 5,368,709,120 bytes"):
        load_dataset(path)


def test_a_file_above_the_limit(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(source.MAX_BYTES + 1)  # a hole: it takes no space
    (tmp_path / "b.png").write_bytes(SMALL)
    found = read(tmp_path)
    assert str(found["a.png"]).startswith("it has 536,870,913 bytes; the limit is 536,870,912")
    assert found["b.png"] == SMALL


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    found = dict(FolderSource(tmp_path).read(["pipe.png", "/dev/zero"]))
    assert {str(error) for error in found.values()} == {
        "it is not a file but a pipe, a device or a socket"
    }


LITTLE_MEMORY = """
import resource, sys
from embedpipe.datasets import load_dataset
dataset = load_dataset(sys.argv[1])
dataset.items
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (100 << 20),) * 2)
for id, value in dataset.source.read([item.id for item in dataset.items]):
    print(id, value if isinstance(value, OSError) else len(value))
"""


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_lack_of_memory_is_an_error_of_one_item(tmp_path, form):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(SMALL)
    with (folder / "b.png").open("wb") as file:
        file.truncate(200 << 20)
    path = folder
    if form == "zip":
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a.png", "b.png"):
                archive.write(folder / name, name)
    elif form == "tar":
        path = tmp_path / "x.tar"
        with tarfile.open(path, "w") as archive:
            for name in ("a.png", "b.png"):
                archive.add(folder / name, name)
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        f"a.png {len(SMALL)}",
        "b.png it does not fit into memory. Free some memory and try again",
    ]
