"""The feature spaces of the benchmarks: images, features, and a split of the spaces by use.

    python benchmarks/spaces.py --sources DIR                   # embeds all, prints the cards
    python benchmarks/spaces.py clothing-lite2 --sources DIR
    python benchmarks/spaces.py --sources DIR --page docs/benchmarks/spaces.md

`--sources` is the folder of `clothing-dataset-small.zip` and `cifar10-images.zip`. EfficientNet-
Lite2 needs `pip install 'embedpipe[lite2]'`. Vectors and made images are stored in the workspace,
and later calls reuse them. A method is chosen on the spaces for tuning and reported on the others.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import without_slowing_settings
from PIL import Image, ImageOps

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.active import Problem
from embedpipe.backbones import Backbone, Preprocess, get_backbone
from embedpipe.backbones.networks import NetworkBackbone
from embedpipe.backbones.packaged import EfficientNetLite0
from embedpipe.datasets import Dataset, Item, corrupted
from embedpipe.datasets.source import FolderSource

# The lists


@dataclass(frozen=True)
class Space:
    """Images, features, and a variation of the images or of the candidates."""

    data: str
    features: str
    variation: str = "plain"
    keep_length: bool = False

    @property
    def name(self) -> str:
        """Data, features and variation, joined by hyphens."""
        variation = [] if self.variation == "plain" else [self.variation]
        length = ["lengths"] if self.keep_length else []
        return "-".join([self.data, self.features, *variation, *length])

    @property
    def role(self) -> str:
        """``"tuning"``, ``"reporting"`` or ``"seen before"``."""
        return next(role for role, spaces in ROLES.items() if self in spaces)


SEEN_BEFORE = (Space("digits", "lite0"), Space("clothing", "lite0"), Space("cifar10", "lite0"))
"""Spaces whose training labels were used for tuning in earlier versions; reported separately."""

TUNING = (
    Space("digits", "lite2", "bursts-shift"),
    Space("digits", "lite2", "rare"),
    Space("digits", "block3"),
    Space("clothing", "block3", keep_length=True),
    Space("cifar10", "lite2"),
    Space("cifar10", "lite2", "bursts-shift"),
    Space("cifar10", "lite2", "longtail"),
    Space("cifar10", "random"),
)
"""Spaces on which methods and their settings are chosen."""

REPORTING = (
    Space("clothing", "lite2"),
    Space("clothing", "random"),
    Space("clothing", "lite0", "bursts-shift"),
    Space("cifar10", "lite0", "bursts-shift"),
    Space("cifar10", "lite0", "longtail"),
    Space("cifar10", "lite0", keep_length=True),
    Space("cifar10", "block3"),
    Space("digits", "pixels"),
    Space("digits", "lite0", "bursts"),
    Space("digits", "lite0", "rare"),
)
"""Spaces of the reported results. No pair of data and features is in both lists."""

ROLES = {"tuning": TUNING, "reporting": REPORTING, "seen before": SEEN_BEFORE}

SPACES = {space.name: space for spaces in ROLES.values() for space in spaces}

SOURCES = {
    "digits": None,
    "clothing": "clothing-dataset-small.zip",
    "cifar10": "cifar10-images.zip",
}
"""File name of each dataset's archive; digits comes with scikit-learn."""

PART_OF_CIFAR10 = {"train": 600, "test": 200}
"""Images of each class in all spaces of CIFAR-10 except `cifar10-lite0`."""

PART_FOR_TAIL = {"train": 1_000, "test": 200}
"""The same for a long tail, whose largest class keeps all images."""

ORIGINALS = 800
"""Number of training images with near copies."""

SHIFTS = ("gaussian_noise", "blur", "brightness")
"""Kinds of corruption of a shifted test split."""

MOST_COPIES = 30
"""Maximum near copies of an image."""

TAIL = 50
"""Size of the largest class of a long tail, divided by the size of the smallest."""

RARE_CLASS = {"digits": "8"}
"""The class that has 1 % of the candidates."""


# From images to a problem


def problem_of(space: Space, sources: Path | None, workspace: Workspace) -> Problem:
    """Return the problem of a space; embed its images if they have no vectors yet."""
    embeddings = ep.embed(
        dataset_of(space, sources, workspace),
        workspace=workspace,
        backbone=BACKBONES[space.features](),
        progress=show_progress,
    )
    problem = Problem.of(embeddings, seed=0)
    if space.variation == "longtail":
        problem = problem.long_tailed(TAIL)
    if space.variation == "rare":
        label = RARE_CLASS[space.data]
        others = problem.candidates.size - problem.class_sizes[label]
        problem = problem.rare(label, round(others / 99))
    return replace(problem, name=space.name)


def dataset_of(space: Space, sources: Path | None, workspace: Workspace) -> Dataset:
    """Return the images of a space."""
    archive = SOURCES[space.data]
    if archive is None:
        dataset = ep.load_dataset(space.data)
    elif sources is None:
        raise SystemExit(f"{space.name} needs {archive}: give its folder with --sources.")
    else:
        dataset = ep.load_dataset(space.data, source=sources / archive)
    if space.data == "cifar10" and space not in SEEN_BEFORE:
        tail = space.variation == "longtail"
        dataset = first_of_each_class(dataset, PART_FOR_TAIL if tail else PART_OF_CIFAR10)
    if space.variation.startswith("bursts"):
        shifted = space.variation == "bursts-shift"
        folder = workspace.root / "spaces" / f"{space.data}-{space.variation}"
        dataset = with_bursts(dataset, folder, shifted=shifted)
    return dataset


def first_of_each_class(dataset: Dataset, sizes: dict[str, int]) -> Dataset:
    """Return a part with a number of images of each class and split, in the order of digests."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in sorted(dataset.items, key=lambda item: hashlib.sha256(item.id.encode()).digest()):
        groups.setdefault((str(item.split), str(item.label)), []).append(item)
    kept = [item for (split, _), group in groups.items() for item in group[: sizes.get(split, 0)]]
    return replace(dataset, items=tuple(sorted(kept, key=lambda item: item.id)))


def show_progress(stage: str, done: int, total: int) -> None:
    if done % 256 == 0 or done == total:
        print(f"  {stage} {done:,} of {total:,}   ", end="\r", file=sys.stderr)


# Bursts


def with_bursts(dataset: Dataset, folder: Path, *, shifted: bool) -> Dataset:
    """Return a dataset of bursts: 1 to 30 near copies of each of 800 training images.

    The number of copies has probabilities in proportion to 1/k (Zipf). The test images have no
    copies and are other originals. If `shifted`, each has noise, blur or a higher brightness.
    """
    train, test = dataset.subset("train"), dataset.subset("test")
    if shifted:
        test = corrupted(test, SHIFTS, [1, 3], clean=False, spread=True)
    rng = np.random.default_rng(0xB0257)
    originals = np.sort(rng.permutation(len(train))[:ORIGINALS])
    shares = 1 / np.arange(1, MOST_COPIES + 1)
    copies = rng.choice(MOST_COPIES, originals.size, p=shares / shares.sum()) + 1  # (o,)
    wanted = {train.items[row].id: int(count) for row, count in zip(originals, copies, strict=True)}
    labels = {item.id: item.label for item in train.items}
    items = [
        Item(f"train/{original}/{number:02d}.jpg", labels[original], "train")
        for original, count in wanted.items()
        for number in range(count)
    ]
    items += [Item(f"test/{item.id}", item.label, "test") for item in test.items]
    if not folder.exists():
        made = folder.with_name(folder.name + ".part")
        shutil.rmtree(made, ignore_errors=True)
        for path, content in burst_files(train, wanted, test):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_bytes(content)
        made.rename(folder)
    return Dataset(
        f"{dataset.name}-{folder.name}",
        tuple(sorted(items, key=lambda item: item.id)),
        FolderSource(folder),
        dataset.class_names,
    )


def burst_files(
    train: Dataset, copies: dict[str, int], test: Dataset
) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the bytes of each image."""
    for name, content in train.source.read(list(copies)):
        assert isinstance(content, bytes), content
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        rng = np.random.default_rng(seed)
        image = small_rgb(content)
        for number in range(copies[name]):
            yield f"train/{name}/{number:02d}.jpg", near_copy(image, rng)
    for name, content in test.source.read([item.id for item in test.items]):
        assert isinstance(content, bytes), content
        yield f"test/{name}", content


def small_rgb(content: bytes) -> Image.Image:
    """Return the upright RGB image with a shorter side of 32 to 256 pixels."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    shorter = min(image.size)
    scale = np.clip(shorter, 32, 256) / shorter
    return image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)


def near_copy(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Return a JPEG of the image: cropped at a random position, with noise, recompressed."""
    kept = rng.uniform(0.85, 1.0)
    width, height = (round(side * kept) for side in image.size)
    left, top = (
        rng.integers(0, spare + 1) for spare in (image.width - width, image.height - height)
    )
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float64)
    pixels += rng.uniform(0, 6) * rng.standard_normal(pixels.shape)  # (h, w, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=int(rng.integers(50, 96))
    )
    return buffer.getvalue()


# Features


class Pixels(Backbone):
    """The 8 x 8 grey values of a digit, 0 to 16: 64 numbers."""

    name, library, pooling, dim = "pixels", "embedpipe-benchmarks", "none", 64
    weights_sha256 = hashlib.sha256(b"").hexdigest()
    preprocess = Preprocess((8, 8), (8, 8), "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the grey values, (images, 64)."""
        return pixels[..., 0].reshape(len(pixels), 64).astype(np.float32) * (16 / 255)


class Lite0Block3(NetworkBackbone):
    """Block 3 of EfficientNet-Lite0, averaged over the image: 80 numbers."""

    library = "timm"
    preprocess = EfficientNetLite0().preprocess

    def __init__(self) -> None:
        super().__init__("tf_efficientnet_lite0:block3")
        self.name = "lite0-block3"

    def _build(self) -> torch.nn.Module:
        network: Any = EfficientNetLite0().classifier()
        pool = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        return torch.nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:4], *pool)


class RandomNetwork(NetworkBackbone):
    """A ResNet-18 with random weights: 512 numbers."""

    library = "timm"
    preprocess = EfficientNetLite0().preprocess

    def __init__(self) -> None:
        super().__init__("resnet18:random")
        self.name = "random"

    def _build(self) -> torch.nn.Module:
        import timm

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return timm.create_model("resnet18", pretrained=False, num_classes=0)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "lite0": lambda: get_backbone("efficientnet_lite0"),
    "lite2": lambda: get_backbone("efficientnet_lite2"),
    "block3": Lite0Block3,
    "random": RandomNetwork,
    "pixels": Pixels,
}


# The cards

DATA = {
    "digits": "handwritten digits of scikit-learn, 8 x 8 pixels",
    "clothing": "photos of clothes, `clothing-dataset-small.zip`",
    "cifar10": "CIFAR-10, `cifar10-images.zip`",
}

VARIATIONS = {
    "plain": "",
    "bursts": f"{ORIGINALS} training images, each with 1 to {MOST_COPIES} near copies",
    "bursts-shift": f"{ORIGINALS} training images, each with 1 to {MOST_COPIES} near copies; test "
    "images with noise, blur or higher brightness",
    "longtail": f"largest class {TAIL} times the smallest",
    "rare": "one class has 1 % of the candidates",
}

FEATURES = {
    "lite0": "EfficientNet-Lite0",
    "lite2": "EfficientNet-Lite2",
    "block3": "block 3 of EfficientNet-Lite0, averaged over the image",
    "random": "ResNet-18 with random weights",
    "pixels": "grey values",
}

CARD = (
    "space",
    "images",
    "vectors",
    "candidates",
    "smallest class",
    "test images",
    "classes",
    "numbers",
)


def card(space: Space, problem: Problem) -> tuple[str, ...]:
    """Return the cells of a space's row."""
    part = space.data == "cifar10" and space not in SEEN_BEFORE
    images = [DATA[space.data], "a part" if part else "", VARIATIONS[space.variation]]
    length = ", length kept" if space.keep_length else ""
    return (
        f"`{space.name}`",
        "; ".join(filter(None, images)),
        FEATURES[space.features] + length,
        f"{problem.candidates.size:,}",
        f"{min(problem.class_sizes.values()):,}",
        f"{problem.test_rows.size:,}",
        str(len(problem.class_sizes)),
        f"{problem.matrix.shape[1]:,}",
    )


def cards(spaces: Sequence[Space], sources: Path | None, workspace: Workspace) -> str:
    """Return a table of cards for each role."""
    lines = []
    for role, members in ROLES.items():
        chosen = [space for space in spaces if space in members]
        if chosen:
            lines += ["", f"**{role.capitalize()}**", "", row(CARD), row(["---"] * len(CARD))]
            lines += [row(card(each, problem_of(each, sources, workspace))) for each in chosen]
    return "\n".join(lines[1:])


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# The command line

START, END = "<!-- cards: written by benchmarks/spaces.py -->", "<!-- end of cards -->"


def spaces_of(names: Sequence[str]) -> list[Space]:
    """Return the spaces of names and roles; all spaces without a name."""
    found: list[Space] = []
    for name in names or [role.replace(" ", "-") for role in ROLES]:
        role = ROLES.get(name.replace("-", " "))
        if role is None and name not in SPACES:
            raise SystemExit(f"no space or role {name!r}. Known: {', '.join(SPACES)}.")
        found += [SPACES[name]] if role is None else role
    return list(dict.fromkeys(found))


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the spaces, the archives and the workspace."""
    parser.add_argument("spaces", nargs="*", help="names or roles; by default all spaces")
    parser.add_argument("--sources", type=Path, help="folder of the archives")
    parser.add_argument("--workspace", help="folder of the vectors and runs")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--page", type=Path, help="page whose cards are replaced")
    arguments = parser.parse_args()
    text = cards(spaces_of(arguments.spaces), arguments.sources, Workspace(arguments.workspace))
    print(f"\n{text}")
    if arguments.page is not None:
        before, _, rest = arguments.page.read_text(encoding="utf-8").partition(START)
        after = rest.partition(END)[2]
        page = f"{before}{START}\n\n{text}\n\n{END}{after}"
        arguments.page.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
