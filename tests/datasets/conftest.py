"""Real images on disk, and the real archives where there are copies of them."""

import io
import os
import subprocess
import zipfile
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
    """Return the bytes of an image in the format that `path` says, of a colour for each seed."""
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
