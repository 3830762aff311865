"""Real images on disk, and the published archives if there are local copies."""

import io
import json
import os
import random
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
}


def encoded(path, seed):
    """Return the bytes of an image with the format of `path` and a colour for each seed."""
    suffix = Path(path).suffix.lower()
    colour = (seed * 40 % 256, seed * 90 % 256, 7)
    image = Image.new("L" if suffix == ".pgm" else "RGB", (5, 4))
    image.paste(colour[0] if suffix == ".pgm" else colour, (0, 0, 5, 4))
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[suffix])
    return buffer.getvalue()


@pytest.fixture
def make():
    """Write images below a folder, each with its own content; return the bytes by path."""

    def write(root, paths):
        contents = {}
        for seed, path in enumerate(paths):
            contents[path] = encoded(path, seed)
            file = Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents[path])
        return contents

    return write


SHOP = [
    "train/hat/a.png",
    "train/hat/more/b.jpg",
    "train/rain coat/a.WEBP",
    "val/hat/Größe 50%.Bmp",
    "val/rain coat/x.gif",
    "test/hat/y.TIFF",
    "test/rain coat/y.tif",
]


@pytest.fixture
def shop(tmp_path, make):
    """Return a folder with splits, classes, spaces and accents, and the bytes by id."""
    root = tmp_path / "shop"
    return root, make(root, SHOP)


@pytest.fixture
def pack():
    """Pack a folder into an archive beside it, below a folder of its own name."""

    def write(root, suffix):
        target = root.with_name(f"packed{suffix}")
        if suffix == ".zip":
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(root.rglob("*")):
                    archive.write(file, f"{root.name}-main/{file.relative_to(root)}")
            return target
        flag = {".tar": "", ".tgz": "z", ".tar.gz": "z", ".tar.bz2": "j", ".tar.xz": "J"}[suffix]
        rename = f"--transform=s,^{root.name},{root.name}-main,"
        subprocess.run(
            ["tar", f"-c{flag}f", target, rename, "-C", root.parent, root.name], check=True
        )
        return target

    return write


def _real(name):
    default = Path(__file__).parents[3] / "shared" / "data"
    path = Path(os.environ.get("EMBEDPIPE_TEST_DATA", default)) / name
    if not path.exists():
        pytest.skip(f"no copy of {name}: set EMBEDPIPE_TEST_DATA to the folder that holds it")
    return path


@pytest.fixture
def clothing_zip():
    """Return the real archive of the clothing dataset."""
    return _real("clothing-dataset-small.zip")


@pytest.fixture
def cifar10_zip():
    """Return the real archive of CIFAR-10."""
    return _real("cifar10-images.zip")


@dataclass(frozen=True)
class ClearImage:
    """An image of a generated CLEAR tree, with the expected facts."""

    id: str
    label: str | None
    split: str | None
    bucket: str
    key: str
    code: int
    content: bytes

    @property
    def vector(self):
        return [float(self.key), float(self.code), 1.5, -2.0]


class ClearTreeMaker:
    """Writes CLEAR trees with real JPEGs: three images of each class in each bucket."""

    classes = ("BACKGROUND", "bus", "dress")
    buckets = ("1", "2", "10")

    def __init__(self, root, layout, classes=classes, buckets=buckets):
        self.root, self.layout = root, layout
        self.classes, self.buckets = classes, buckets
        self.images = [image for bucket in buckets for image in self._of_bucket(bucket)]
        for image in self.images:
            self.put(image.id, image.content)
        if layout == "2022":
            for split in ("train", "test"):
                self._write_split(split)
        else:
            self._write_2021()

    def _of_bucket(self, bucket):
        for code, name in enumerate(self.classes):
            for number in range(3):
                key = f"{bucket}{code:02d}{number}"
                split = "test" if number == 2 else "train"
                path = f"labeled_images/{bucket}/{name}/{key}.jpg"
                yield ClearImage(
                    id=f"{split}/{path}" if self.layout == "2022" else path,
                    label=None if bucket == "0" else name,
                    split=split,
                    bucket=bucket,
                    key=key,
                    code=code,
                    content=encoded(path, int(key)),
                )

    def _write_split(self, split):
        self.put(f"{split}/class_names.txt", "\n".join(self.classes))
        files = {}
        for bucket in self.buckets:
            for code, name in enumerate(self.classes):
                file = f"labeled_metadata/{bucket}/{name}.json"
                files.setdefault(bucket, {})[name] = file
                found = {
                    image.key: {"ID": image.key, "IMG_PATH": image.id.removeprefix(f"{split}/")}
                    for image in self.of(bucket, code)
                    if image.split == split
                }
                self.put(f"{split}/{file}", json.dumps(found))
        self.put(f"{split}/labeled_metadata.json", json.dumps(files))

    def _write_2021(self):
        self.put("class_names.txt", "\n".join(self.classes) + "\n")
        self.put("training_folder/bucket_indices.json", json.dumps(list(self.buckets)))
        for bucket in self.buckets:
            lines = [f"{image.id} {image.code}" for image in self.of(bucket)]
            self.put(f"training_folder/filelists/{bucket}/all.txt", "\n".join(lines))
            for split in range(5):
                folder = f"training_folder/testset_ratio_0.3/split_{split}/{bucket}"
                tested = {line for at, line in enumerate(lines) if (at + split) % 3 == 2}
                for name, part in (("train", set(lines) - tested), ("test", tested)):
                    listed = random.Random(split).sample(sorted(part), len(part))
                    self.put(f"{folder}/{name}.txt", "\n".join(listed))

    def write_features(self, kind="moco_b0", splits=("train", "test")):
        """Write vectors that differ between images."""
        import torch

        if self.layout == "2021":
            for bucket in self.buckets:
                images = self.of(bucket)
                path = self.path(f"training_folder/features/{kind}/{bucket}/all.pth")
                tensors = torch.tensor([image.vector for image in images])
                torch.save((tensors, [image.code for image in images]), path)
            return
        for split in splits:
            files = {}
            for bucket in self.buckets:
                for code, name in enumerate(self.classes):
                    file = f"features/{kind}/{bucket}/{name}.pth"
                    files.setdefault(bucket, {})[name] = file
                    images = [image for image in self.of(bucket, code) if image.split == split]
                    # the order of the file is another than that of the list
                    found = {image.key: torch.tensor(image.vector) for image in images[::-1]}
                    torch.save(found, self.path(f"{split}/{file}"))
            self.put(f"{split}/features/{kind}/features.json", json.dumps(files))

    def of(self, bucket, code=None):
        return [i for i in self.images if i.bucket == bucket and code in (None, i.code)]

    def path(self, file):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, file, content):
        self.path(file).write_bytes(content if isinstance(content, bytes) else content.encode())

    def edit(self, file, old, new):
        content = (self.root / file).read_text()
        assert old in content
        self.put(file, content.replace(old, new))

    def expected(self):
        """Return the expected items, sorted by id."""
        return sorted((i.id, i.label, i.split, i.bucket) for i in self.images)


@pytest.fixture
def clear(tmp_path):
    """Write CLEAR trees: `clear("2022")`, `clear("2021")`."""

    def make(layout, name="tree", **options):
        return ClearTreeMaker(tmp_path / name, layout, **options)

    return make
