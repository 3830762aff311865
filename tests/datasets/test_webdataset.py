"""WebDataset archives: samples with labels, one or several shards."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from embedpipe.datasets import load_dataset
from embedpipe.errors import DatasetError
from embedpipe.testing import check_dataset


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (number * 7 % 256, 30, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, members, mode="w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(numbers, label):
    for number in numbers:
        yield f"{number:04d}.png", png(number)
        yield from label(number)


def classes(number):
    yield f"{number:04d}.cls", str(number % 2).encode()
    yield f"{number:04d}.txt", f"caption {number}".encode()


LABELS = {
    ".cls": classes,
    ".json": lambda n: [(f"{n:04d}.json", json.dumps({"label": n % 2, "url": "x"}).encode())],
    ".json, text": lambda n: [(f"{n:04d}.json", json.dumps({"class": str(n % 2)}).encode())],
    ".txt": lambda n: [(f"{n:04d}.txt", f" {n % 2}\n".encode())],
}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for shard in range(3):
        numbers = range(shard * 4, shard * 4 + 4)
        write_tar(tmp_path / f"train-{shard:03d}.tar", samples(numbers, classes))
    return tmp_path


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_labels_of_samples(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_tar(path, samples(range(6), LABELS[kind]), "w:gz" if suffix.endswith("gz") else "w")
    dataset = load_dataset(path)
    assert [(i.id, i.label) for i in dataset.items] == [
        (f"{n:04d}.png", str(n % 2)) for n in range(6)
    ]
    assert dataset.source.read_one("0003.png") == png(3)
    assert (dataset.class_names, dataset.folder_labels) == (("0", "1"), None)


def test_captions_and_other_texts_are_no_labels(tmp_path: Path) -> None:
    captions = lambda n: [(f"{n:04d}.txt", f"a caption of image {n}".encode())]  # noqa: E731
    assert load_dataset(write_tar(tmp_path / "a.tar", samples(range(6), captions))).labels() == (
        [None] * 6
    )
    broken = lambda n: [(f"{n:04d}.json", b"{" if n else b'["label"]')]  # noqa: E731
    assert load_dataset(write_tar(tmp_path / "b.tar", samples(range(6), broken))).class_names == ()


def test_members_that_cannot_be_parsed_are_no_labels(tmp_path: Path) -> None:
    members = [("0000.png", png(0)), ("0000.json", b"[" * 60_000), ("0000.cls", b"\xff")]
    more = [("0001.png", png(1)), ("0001.cls", "\ufeffhat\r\n".encode())]
    dataset = load_dataset(write_tar(tmp_path / "a.tar", members + more))
    assert [item.label for item in dataset.items] == [None, "hat"]


def test_several_images_of_a_sample_share_its_label(tmp_path: Path) -> None:
    members = [("x/1.left.png", png(1)), ("x/1.right.png", png(2)), ("x/1.cls", b"hat")]
    dataset = load_dataset(write_tar(tmp_path / "a.tar", members))
    assert {item.label for item in dataset.items} == {"hat"}
    assert len(dataset) == 2


def test_folders_are_classes_if_samples_have_no_labels(tmp_path: Path) -> None:
    members = [(f"{name}/{n}.png", png(n)) for name in ("hat", "shoe") for n in range(2)]
    path = write_tar(tmp_path / "a.tar", members)
    assert load_dataset(path).class_names == ("hat", "shoe")
    with_classes = [*members, *((f"{name}/{n}.cls", b"x") for name in ("hat",) for n in range(2))]
    path = write_tar(tmp_path / "b.tar", with_classes)
    assert load_dataset(path).class_names == ("x",)
    assert load_dataset(path, folder_labels=True).class_names == ("hat", "shoe")


def test_a_folder_a_brace_list_and_a_list_of_shards(shards: Path) -> None:
    folder = load_dataset(shards)
    assert [(i.id, i.label, i.split) for i in folder.items] == [
        (f"train-{n // 4:03d}.tar/{n:04d}.png", str(n % 2), "train") for n in range(12)
    ]
    assert dict(folder.source.read([i.id for i in folder.items])) == {
        f"train-{n // 4:03d}.tar/{n:04d}.png": png(n) for n in range(12)
    }
    assert len(check_dataset(folder).passed) >= 8
    braces = load_dataset(str(shards / "train-{000..002}.tar"))
    listed = load_dataset(sorted(shards.glob("*.tar")))
    assert braces.items == listed.items == folder.items
    assert braces.name == listed.name
    source = pickle.loads(pickle.dumps(braces.source))
    assert source.read_one("train-001.tar/0005.png") == png(5)


def test_new_shards_keep_the_ids_and_the_name(shards: Path) -> None:
    before = load_dataset(str(shards / "train-{000..002}.tar"))
    folder = load_dataset(shards)
    write_tar(shards / "train-003.tar", samples(range(12, 15), classes))
    after = load_dataset(str(shards / "train-{000..003}.tar"))
    assert {item.id for item in before.items} < {item.id for item in after.items}
    assert (before.name, folder.name) == (after.name, load_dataset(shards).name)


def test_damaged_shards_are_one_failure_each(shards: Path) -> None:
    whole = (shards / "train-001.tar").read_bytes()
    (shards / "train-001.tar").write_bytes(whole[:1000])
    write_tar(shards / "notes.tar", [("readme.md", b"text")])
    dataset = load_dataset(shards)
    found = dict(dataset.source.read([item.id for item in dataset.items]))
    reasons = {key: str(each) for key, each in found.items() if isinstance(each, OSError)}
    assert len(found) - len(reasons) == 8
    assert set(reasons) == {"train-001.tar", "notes.tar"}
    assert reasons["train-001.tar"] == (
        "it cannot be read: unexpected end of data; it may be incomplete or damaged. Copy it "
        "again from the source"
    )
    assert reasons["notes.tar"].startswith("no images in it: expected ")


def test_missing_shards_of_a_list_are_named(shards: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(shards / "train-{000..005}.tar"))
    assert str(caught.value) == (
        f"no file at '{shards / 'train-003.tar'}', one of the 6 listed shards. Correct the list."
    )
    with pytest.raises(DatasetError, match=r"names 10,000,000 files; the limit is 1,000,000"):
        load_dataset(str(shards / "train-{0000000..9999999}.tar"))


def test_too_many_names_in_braces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"names 1,0{3},.* files; the limit is 1,000,000"):
        load_dataset(f"{tmp_path}/a-{{1..1{'0' * 30}}}.tar")


def test_unknown_ids_do_not_stop_reading(shards: Path) -> None:
    source = load_dataset(shards).source
    ids = ["train-000.tar/0001.png", "train-000.tar/none.png", "no.tar/1.png", "x"]
    found = dict(source.read(ids))
    assert found.pop(ids[0]) == png(1)
    assert len(found) == 3
    assert all(isinstance(error, FileNotFoundError) for error in found.values())
    assert source.stamps(ids[1:]) == [None] * 3
