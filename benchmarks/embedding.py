"""Images per second of `embed` and of a plain script, in one run.

    python benchmarks/embedding.py [--source clothing-dataset-small.zip] [--images 512]

The plain script uses timm's model in float32, its transforms on Pillow images, and a DataLoader
with two workers and batches of 64. Both programs read the same images from disk and return their
vectors. The time to load and compile the model is excluded. The programs run in turn. The ratio
compares their median times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

import embedpipe as ep

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


def ours(folder: Path, workspace: str, precision: str) -> tuple[float, float, np.ndarray]:
    """Embed a folder by `embed`; return seconds of the embedding, total seconds, and vectors."""
    embeddings = ep.embed(ep.load_dataset(str(folder)), workspace=workspace, precision=precision)
    report = embeddings.report
    assert report.embedded == len(list(folder.iterdir()))
    assert report.images_per_second is not None
    return report.embedded / report.images_per_second, report.seconds, np.asarray(embeddings)


def main() -> None:
    """Run the benchmark; the exit status is 1 if the ratio is below the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=DATA / "clothing-dataset-small.zip")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {"plain": [], "ours, fp32": [], "ours, auto": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photos"
        folder.mkdir()
        origin = images_of(arguments.source, arguments.images, folder)
        count = len(list(folder.iterdir()))
        print(f"{count} images from {origin}, {os.cpu_count()} cores")
        expected = None
        for turn in range(arguments.repeats):
            taken, expected = plain_script(folder)
            seconds["plain"].append(taken)
            for name, precision in (("ours, fp32", "fp32"), ("ours, auto", "auto")):
                workspace = f"{temporary}/{turn}-{precision}"
                taken, total, vectors = ours(folder, workspace, precision)
                seconds[name].append(taken)
                products = (vectors * expected).sum(1)
                lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
                print(
                    f"  turn {turn}: {name} {taken:.1f} s, {total:.1f} s in total; minimum cosine "
                    f"to the plain script's vectors {(products / lengths).min():.5f}"
                )
    plain = statistics.median(seconds["plain"])
    print(f"{'':14}{'images/s':>10}{'ratio':>8}")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:14}{count / median:>10.1f}{plain / median:>8.1f}")
    reached = plain / statistics.median(seconds["ours, auto"])
    print(f"embed is {reached:.1f} times as fast as the plain script (target: {TARGET:g})")
    sys.exit(reached < TARGET)


if __name__ == "__main__":
    main()
