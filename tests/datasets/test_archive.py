"""Archives of several programs, whole and damaged."""

import io
import random
import subprocess
import sys
import tarfile
import zipfile

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.datasets.zip_source import ZipSource
from embedpipe.errors import DatasetError


def zipped(path, contents, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def images():
    """Return random bytes in place of images; these tests do not decode them."""
    noise = random.Random(0)
    return {f"{name}.png": noise.randbytes(5000) for name in "abc"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_packing_methods(tmp_path, images, method):
    dataset = load_dataset(zipped(tmp_path / "x.zip", images, compression=method))
    assert dict(dataset.source.read(list(images))) == images


def test_an_unsupported_method_is_an_error_of_the_member(tmp_path, images):
    path = zipped(tmp_path / "x.zip", images, compression=zipfile.ZIP_LZMA)
    error = dict(load_dataset(path).source.read(["a.png"]))["a.png"]
    assert str(error) == (
        "it is compressed by the unsupported method 14. Create the archive again with deflate"
    )


def test_an_archive_after_other_bytes(tmp_path, images):
    path = zipped(tmp_path / "x.zip", images)
    path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())
    assert dict(load_dataset(path).source.read(list(images))) == images


def test_large_archives_with_64_bit_fields(tmp_path, images):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in images.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
        for number in range(66_000):  # more than 16 bits can count
            archive.writestr(f"text/{number}.txt", b"")
    dataset = load_dataset(path)
    assert dict(dataset.source.read(list(images))) == images


def test_64_bit_values_in_the_extra_field():
    from embedpipe.datasets.zip_source import _large

    extra = b"\x99\x99\x02\x00ab" + b"\x01\x00\x10\x00" + (1 << 33).to_bytes(8, "little")
    extra += (1 << 34).to_bytes(8, "little")
    assert _large(extra, 0xFFFFFFFF, 7, 0xFFFFFFFF) == (1 << 33, 7, 1 << 34)


def test_a_damaged_member_is_an_error_of_the_member(tmp_path, images):
    path = zipped(tmp_path / "x.zip", images)
    raw = bytearray(path.read_bytes())
    raw[raw.index(images["b.png"]) + 100] ^= 1
    path.write_bytes(raw)
    found = dict(load_dataset(path).source.read(list(images)))
    assert str(found["b.png"]) == (
        "it is damaged in the archive (wrong checksum). Copy the archive again from the source"
    )
    assert isinstance(found["b.png"], OSError)
    assert (found["a.png"], found["c.png"]) == (images["a.png"], images["c.png"])


def test_damaged_deflate_is_an_os_error(tmp_path, images):
    path = zipped(tmp_path / "x.zip", {"a.png": b"x" * 9000}, compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    raw[30 + len("a.png")] = 0xFF
    path.write_bytes(raw)
    error = dict(load_dataset(path).source.read(["a.png"]))["a.png"]
    assert isinstance(error, OSError)
    assert str(error).startswith("it is damaged in the archive (Error -3")


def test_an_encrypted_member_is_an_error_of_the_member(tmp_path, images):
    path = zipped(tmp_path / "x.zip", images)
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1  # the flag of the last member
    path.write_bytes(raw)
    found = dict(load_dataset(path).source.read(list(images)))
    assert str(found["c.png"]) == ("it is encrypted. Create the archive again without a password")
    assert found["a.png"] == images["a.png"]


def test_names_in_utf8_without_the_flag_and_in_code_page_437(tmp_path):
    path = zipped(tmp_path / "x.zip", {"AAAA.png": b"1", "BBBB.png": b"2"})
    raw = path.read_bytes().replace(b"AAAA", "ßé".encode()).replace(b"BBBB", b"\x81\x81BB")
    path.write_bytes(raw)
    assert [item.id for item in load_dataset(path).items] == ["ßé.png", "üüBB.png"]


def test_the_later_of_two_members_with_one_name_is_used(tmp_path):
    path = tmp_path / "x.zip"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"old")
        archive.writestr("a.png", b"new")
    assert load_dataset(path).source.read_one("a.png") == b"new"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_truncated_archives_are_refused(suffix, shop, pack):
    root, _ = shop
    path = pack(root, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 100])
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    message = str(raised.value)
    assert message.startswith(f"archive '{path}' cannot be read: ")
    assert message.endswith("; it may be incomplete or damaged. Copy it again from the source.")
    assert "\n" not in message


def test_a_truncated_zip_is_explained(tmp_path, images):
    path = zipped(tmp_path / "x.zip", images)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    assert str(raised.value) == (
        f"archive '{path}' cannot be read: the end of a zip archive is missing; "
        "it may be incomplete or damaged. Copy it again from the source."
    )


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_other_files_are_refused_as_archives(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    for content in (b"", b"hello", b"hello" * 1000):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="cannot be read"):
            load_dataset(path)


def test_an_archive_without_images_lists_other_files(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a/": b"", "a/notes.txt": b"x", ".b.png": b"x"})
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    assert str(raised.value).startswith(f"no images in archive '{path}': expected .avif, .bmp, ")
    assert str(raised.value).endswith("; found 1 .txt.")


def test_a_member_with_a_path_outside_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"../a.png": b"x"})
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    assert str(raised.value) == (
        f"archive '{path}' contains '..', a path outside of it; "
        "create the archive again without '..'."
    )


def test_a_tar_with_a_damaged_middle_is_refused(shop, pack):
    root, _ = shop
    path = pack(root, ".tar")
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[8].offset
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 512] = b"\x55" * 512
    path.write_bytes(raw)
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    assert str(raised.value) == (
        f"archive '{path}' cannot be read: no member starts at byte {offset}; "
        "it may be incomplete or damaged. Copy it again from the source."
    )


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_links_inside_a_tar(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as archive:
        for name, kind, target in [
            ("set/a.png", tarfile.REGTYPE, ""),
            ("set/hard.png", tarfile.LNKTYPE, "set/a.png"),
            ("set/soft.png", tarfile.SYMTYPE, "./a.png"),
            ("set/broken.png", tarfile.SYMTYPE, "../../absent.png"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"png"))
    dataset = load_dataset(path)
    found = dict(dataset.source.read([item.id for item in dataset.items]))
    assert str(found.pop("broken.png")) == (
        "it is a link to a target that is not an image in the archive"
    )
    assert found == {"a.png": b"png", "hard.png": b"png", "soft.png": b"png"}


def test_a_compressed_tar_is_unpacked_once_for_reads_in_order(shop, pack, monkeypatch):
    from embedpipe.datasets import tar_source

    root, contents = shop
    opened = []
    real = tar_source._open
    monkeypatch.setattr(tar_source, "_open", lambda path: opened.append(path) or real(path))
    dataset = load_dataset(pack(root, ".tar.gz"))
    opened.clear()
    everything = [name for name, _ in dataset.source.read(list(contents))]
    assert len(opened) == 1
    found = [dataset.source.read_one(name) for name in everything]
    assert found == [contents[name] for name in everything]
    assert len(opened) == 2


def test_members_after_a_damaged_part_of_a_stream_are_errors(tmp_path, images):
    import gzip

    from embedpipe.datasets.tar_source import _read_forward

    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"abcdef" * 5000)[:-30])
    with gzip.open(path) as stream:
        found = dict(
            _read_forward(stream, [("a", (0, 6)), ("b", (29_000, 500)), ("c", (29_990, 6))])
        )
    assert found["a"] == b"abcdef"
    assert str(found["b"]).startswith("it is in a damaged archive (Compressed file ended")
    assert found["c"] is found["b"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_changed_or_removed_archive_is_an_error_of_each_item(suffix, shop, pack):
    root, contents = shop
    path = pack(root, suffix)
    dataset = load_dataset(path)
    before = dataset.source.stamp("train/hat/a.png")
    path.write_bytes(path.read_bytes() + b"\0")
    found = dict(dataset.source.read(list(contents)))
    assert {str(error) for error in found.values()} == {
        f"it is in '{path}', which has changed since it was listed"
    }
    assert dataset.source.stamp("train/hat/a.png") != before
    path.unlink()
    found = dict(dataset.source.read(list(contents)))
    assert all(isinstance(error, FileNotFoundError) for error in found.values())
    assert dataset.source.stamp("train/hat/a.png") is None


def test_a_source_is_opened_at_first_use(tmp_path):
    source = ZipSource(tmp_path / "later.zip")
    assert source.location == str(tmp_path / "later.zip")
    assert source.stamp("a.png") is None


def test_zip_tar_and_folder_have_the_same_ids(shop, pack):
    root, _ = shop
    found = [load_dataset(path).items for path in (root, pack(root, ".zip"), pack(root, ".tgz"))]
    assert found[0] == found[1] == found[2]


def test_a_renamed_zip_archive_is_recognised(shop, pack):
    root, contents = shop
    path = pack(root, ".zip")
    renamed = path.rename(path.with_name("really a zip.tar"))
    assert dict(load_dataset(renamed).source.read(list(contents))) == contents


@pytest.mark.skipif(sys.platform != "linux", reason="needs Info-ZIP's or Python's zip by name")
def test_the_zipfile_command_line_agrees(shop):
    root, contents = shop
    target = root.with_name("cli.zip")
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-c", str(target), str(root)], check=True, cwd=root.parent
    )
    assert dict(load_dataset(target).source.read(list(contents))) == contents
