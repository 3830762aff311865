"""Images per second of `embed`, of the model alone and of a plain script, in one run.

    python benchmarks/embedding.py [--source clothing-dataset-small.zip] [--images 512]

The plain script uses timm's model in float32, its transforms on Pillow images, and a DataLoader
with two workers and batches of 64. Both programs read the same images from disk and return their
vectors. The time to load and compile the model is excluded. The programs run in turn. The ratio
compares their median times.

Three more parts measure `embed` and the model alone with a large network of random weights, the
decoding of photos of 12 megapixels, and small images in a folder and in a zip archive.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import embedpipe as ep
from embedpipe._threads import available_cpus
from embedpipe.backbones import Backbone, Preprocess, decode_image, resolve_precision
from embedpipe.backbones.timm_models import TimmBackbone
from embedpipe.embedding.filling import batch_size_of

from common import ARCHIVE, Memory, find_archive, timed  # isort: skip

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EMBEDPIPE_TEST_DATA", ROOT.parent / "shared" / "data"))
TARGET = 3.0
"""Minimum ratio of our images per second to those of the plain script."""


def images_of(source: Path, count: int, folder: Path) -> str:
    """Write photos, or synthetic photos if the archive is missing; return their description."""
    if source.exists():
        with zipfile.ZipFile(source) as archive:
            names = [n for n in archive.namelist() if n.lower().endswith(".jpg")]
            for number, name in enumerate(names[:: max(1, len(names) // count)][:count]):
                (folder / f"{number:05d}.jpg").write_bytes(archive.read(name))
        return source.name
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((533, 400)).save(folder / f"{number:05d}.jpg", quality=90)
    return "synthetic photos of 533 x 400 pixels"


def plain_script(folder: Path) -> tuple[float, np.ndarray]:
    """Embed a folder by a plain script; return seconds and vectors."""
    import timm.data
    import torch
    from PIL import Image

    network = ep.get_backbone().module  # type: ignore[attr-defined]
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)

    class Photos(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.paths = sorted(folder.iterdir())

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(Image.open(self.paths[index]).convert("RGB"))

    loader = torch.utils.data.DataLoader(Photos(), batch_size=64, num_workers=2)
    started = time.perf_counter()
    with torch.inference_mode():
        vectors = torch.cat([network(batch) for batch in loader]).numpy()
    return time.perf_counter() - started, vectors


def ours(
    folder: Path, workspace: str, precision: str, backbone: Backbone
) -> tuple[ep.Embeddings, float]:
    """Embed a folder by `embed`; return the embeddings and the seconds of decoding and encoding."""
    photos = ep.load_dataset(str(folder))
    embeddings = ep.embed(photos, backbone=backbone, workspace=workspace, precision=precision)
    report = embeddings.report
    assert report.embedded == len(list(folder.iterdir()))
    assert report.images_per_second is not None
    return embeddings, report.embedded / report.images_per_second


def bare_model(count: int, precision: str, backbone: Backbone) -> float:
    """Return the seconds to encode decoded images by the same encoder on all threads."""
    size = batch_size_of(backbone.preprocess, "auto")
    encoder: Any = backbone.open(
        precision=resolve_precision(precision), runtime="auto", batch_size=size
    )
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size, *backbone.preprocess.size, 3), np.uint8)
    batches = [pixels] * -(-count // size)
    with ThreadPoolExecutor(encoder.streams) as pool:
        list(pool.map(encoder.encode, batches[: 2 * encoder.streams]))  # the first calls allocate
        started = time.perf_counter()
        list(pool.map(encoder.encode, batches))
    return (time.perf_counter() - started) * count / (len(batches) * size)


def speed(arguments: argparse.Namespace, temporary: Path, folder: Path) -> bool:
    """Compare with the plain script and with the model alone; return whether it is fast enough."""
    count = len(list(folder.iterdir()))
    precisions = ("fp32", "auto")
    backbone = ep.get_backbone()
    seconds: dict[str, list[float]] = {"plain": []}
    for turn in range(arguments.repeats):
        taken, expected = plain_script(folder)
        seconds["plain"].append(taken)
        for precision in precisions:
            bare = bare_model(count, precision, backbone)
            seconds.setdefault(f"bare model, {precision}", []).append(bare)
            workspace = f"{temporary}/{turn}-{precision}"
            embeddings, taken = ours(folder, workspace, precision, backbone)
            seconds.setdefault(f"embed, {precision}", []).append(taken)
            vectors = np.asarray(embeddings)
            products = (vectors * expected).sum(1)
            lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
            print(
                f"  turn {turn}, {precision}: minimum cosine to the plain script's vectors "
                f"{(products / lengths).min():.5f}; {embeddings.report.profile}"
            )
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    print(f"{'':18}{'images/s':>10}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:18}{count / median:>10.1f}{medians['plain'] / median:>8.1f}")
    for precision in precisions:
        share = medians[f"bare model, {precision}"] / medians[f"embed, {precision}"]
        print(f"embed reaches {share:.0%} of the bare model's speed in {precision}")
    reached = medians["plain"] / medians["embed, auto"]
    print(f"embed is {reached:.1f} times as fast as the plain script (target: {TARGET:g})")
    return reached >= TARGET


class Untrained(TimmBackbone):
    """A timm network with random weights."""

    def _build(self) -> Any:
        return self._create(pretrained=False)


def large_network(arguments: argparse.Namespace, temporary: Path, folder: Path) -> None:
    """Compare `embed` with the model alone for a network that takes most of the time."""
    count = len(list(folder.iterdir()))
    backbone = Untrained(arguments.network)
    print(f"{arguments.network} with random weights:")
    for precision in ("fp32", "auto"):
        bare, taken = [], []
        for turn in range(arguments.repeats):
            bare.append(bare_model(count, precision, backbone))
            workspace = f"{temporary}/large-{turn}-{precision}"
            taken.append(ours(folder, workspace, precision, backbone)[1])
        alone, embed = (count / statistics.median(each) for each in (bare, taken))
        print(
            f"  {precision}: {alone:.1f} images/s alone, {embed:.1f} by embed: {embed / alone:.0%}"
        )


def large_photos(temporary: Path) -> None:
    """Decode photos of 12 megapixels by Pillow, and as `embed` does on all threads."""
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (75, 100, 3), np.uint8))
    coarse.resize((4000, 3000), Image.Resampling.BICUBIC).save(temporary / "large.jpg", quality=90)
    data = [(temporary / "large.jpg").read_bytes()] * 12
    preprocess = ep.get_backbone().preprocess
    scaled = replace(preprocess, scaled_decode=True)

    def pillow() -> None:
        for each in data:
            Image.open(io.BytesIO(each)).load()

    def threads(used: Preprocess) -> None:
        with ThreadPoolExecutor(available_cpus()) as pool:
            list(pool.map(lambda each: decode_image(each, used), data))

    works: dict[str, Callable[[], None]] = {
        "Pillow, full decode": pillow,
        "embed": lambda: threads(preprocess),
        "embed --scaled-decode": lambda: threads(scaled),
    }
    seconds = {name: min(timed(work)[0] for _ in range(3)) for name, work in works.items()}
    print("photos of 12 megapixels, decoded and resized by embed, only decoded by Pillow:")
    for name, taken in seconds.items():
        ratio = seconds["Pillow, full decode"] / taken
        print(f"{name:24}{len(data) / taken:>8.1f} images/s{ratio:>8.1f}")


def archives(temporary: Path, count: int) -> None:
    """Embed small images from a folder and from a zip archive, with a fast backbone."""
    archive = find_archive()
    if archive is None:
        print(f"{ARCHIVE} is missing: folders and archives are not compared")
        return
    folder, packed = temporary / "small", temporary / "small.zip"
    folder.mkdir()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(packed, "w") as target:
        names = [name for name in source.namelist() if name.endswith(".jpg")][:count]
        for number, name in enumerate(names):
            content = source.read(name)
            target.writestr(f"{number:05d}.jpg", content)
            (folder / f"{number:05d}.jpg").write_bytes(content)
    memory = Memory()
    for place in (folder, packed):
        dataset = ep.load_dataset(str(place))
        workspace = f"{temporary}/{place.name}-workspace"
        with memory.watch():
            first, _ = timed(
                lambda d=dataset, w=workspace: ep.embed(d, backbone="toy", workspace=w)
            )
        again, _ = timed(lambda d=dataset, w=workspace: ep.embed(d, backbone="toy", workspace=w))
        kind = place.suffix or "folder"
        print(f"{len(names)} small images, {kind}: {first:.1f} s, {again:.2f} s again")
    print(f"additional memory of small images: {memory}")


def main() -> None:
    """Run the benchmark; the exit status is 1 if the ratio is below the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=DATA / "clothing-dataset-small.zip")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--small-images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--network", default="resnet50", help="of the part `network`")
    parser.add_argument("--only", choices=["speed", "network", "large", "archives"])
    arguments = parser.parse_args()
    fast_enough = True
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        if arguments.only in (None, "large"):
            large_photos(temporary)
        if arguments.only in (None, "archives"):
            archives(temporary, arguments.small_images)
        if arguments.only in (None, "network", "speed"):
            folder = temporary / "photos"
            folder.mkdir()
            origin = images_of(arguments.source, arguments.images, folder)
            print(f"{len(list(folder.iterdir()))} images from {origin}, {os.cpu_count()} cores")
        if arguments.only in (None, "network"):
            large_network(arguments, temporary, folder)
        if arguments.only in (None, "speed"):
            fast_enough = speed(arguments, temporary, folder)
    sys.exit(not fast_enough)


if __name__ == "__main__":
    main()
