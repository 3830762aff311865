"""Backbones side by side: accuracy by number of labels, with all labels, and images per second.

    python benchmarks/backbones.py --sources DIR
    python benchmarks/backbones.py --sources DIR --backbones efficientnet_lite0 timm:resnet18
    python benchmarks/backbones.py --speed        # all cards with random weights: no download

A backbone may be followed by views, as in "efficientnet_lite0 flip".

`--sources` is the folder of `clothing-dataset-small.zip`. Every run starts without labels and adds
batches of 20 images; the head is `auto`. For each seed, the pool is a random 80 % of the training
images, the same for all strategies and backbones. All vectors are in fp32. For the speed, the
backbones take turns and embed the 372 test photos of clothing into an empty cache, decoding
included; the median is printed. `--speed` measures the networks alone, on random pixels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from common import without_slowing_settings

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.backbones import CARDS, Backbone
from embedpipe.experiments import Experiment, Results

BATCH, ROUNDS = 20, 14
STRATEGIES = ("random", "auto", "uncertainty_herding")
BACKBONES = [
    "efficientnet_lite0", "efficientnet_lite2", "efficientnet_lite0+efficientnet_lite2",
    "efficientnet_lite0 flip", "efficientnet_lite0 crops5",
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sources", type=Path, default=Path())
    parser.add_argument("--datasets", nargs="+", default=["clothing", "digits"])
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workspace", type=Path, default=None)
    parser.add_argument("--speed", action="store_true", help="measure the networks of cards")
    parser.add_argument("--cards", nargs="+", default=list(CARDS), help="cards of --speed")
    arguments = parser.parse_args()
    if arguments.speed:
        for row in table(["backbone", "torch", "OpenVINO"], speeds_of_cards(arguments.cards)):
            print(row, flush=True)
        return 0
    speeds = measured_speeds(arguments)
    results = measured_accuracies(arguments)
    for dataset in arguments.datasets:
        print(f"\n**{dataset}**\n")
        rows = [
            [f"`{name}`", *accuracies(results, dataset, name), f"{speeds[name]:.0f}"]
            for name in arguments.backbones
        ]
        heads = [f"{strategy}, 20 to 300 labels" for strategy in STRATEGIES]
        for row in table(["backbone", *heads, "all labels", "images/s"], rows):
            print(row)
    for failure in results.failures:
        print(failure, file=sys.stderr)
    return bool(results.failures)


def load(name: str, sources: Path) -> ep.Dataset:
    if name == "clothing":
        return ep.load_dataset(name, source=sources / "clothing-dataset-small.zip")
    return ep.load_dataset(name)


def embed(dataset: ep.Dataset, name: str, workspace: Workspace | str) -> ep.Embeddings:
    """Embed with a backbone and its views."""
    backbone, _, views = name.partition(" ")
    options = {"precision": "fp32", "views": views or "none"}
    return ep.embed(dataset, backbone=backbone, workspace=workspace, **options)


def measured_accuracies(arguments: argparse.Namespace) -> Results:
    """Return the accuracies of all backbones on the same pools."""
    workspace = Workspace(arguments.workspace)
    problems = {}
    for dataset in arguments.datasets:
        loaded = load(dataset, arguments.sources)
        for name in arguments.backbones:
            print(f"{dataset}, {name}", file=sys.stderr)
            problems[dataset, name] = embed(loaded, name, workspace)
    return Experiment(
        problems,
        strategies=list(STRATEGIES),
        seeds=arguments.seeds,
        initial_size=BATCH,
        batch_size=BATCH,
        rounds=ROUNDS,
        workspace=workspace,
    ).run(workers=arguments.workers, progress=lambda now: print(now, end="\r", file=sys.stderr))


def accuracies(results: Results, dataset: str, backbone: str) -> Iterator[str]:
    """Yield the mean accuracy of each strategy over the labels and seeds, and with all labels."""
    of = {"dataset": dataset, "backbone": backbone}
    rows = [row for row in results.table.to_pylist() if of.items() <= row.items()]
    for strategy in STRATEGIES:
        by_seed: dict[int, list[float]] = {}
        for row in rows:
            if row["strategy"] == strategy:
                by_seed.setdefault(row["seed"], []).append(row["accuracy"])
        yield mean_and_error([float(np.mean(values)) for values in by_seed.values()])
    yield mean_and_error(
        [
            row["accuracy"]
            for row in results.upper_baselines.to_pylist()
            if of.items() <= row.items()
        ]
    )


def mean_and_error(values: Sequence[float]) -> str:
    """Return the mean and its standard error over the seeds, in percent."""
    error = np.std(values, ddof=1) / len(values) ** 0.5
    return f"{100 * np.mean(values):.1f} ± {100 * error:.1f}"


def measured_speeds(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the median images per second of embedding photos, decoding included, by backbone."""
    photos = load("clothing", arguments.sources).subset("test")
    found: dict[str, list[float]] = {name: [] for name in arguments.backbones}
    for _ in range(arguments.turns):
        for name in arguments.backbones:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(embed(photos, name, folder).report.images_per_second or 0.0)
    return {name: statistics.median(speeds) for name, speeds in found.items()}


def speeds_of_cards(names: Sequence[str], seconds: float = 1.5) -> Iterator[list[str]]:
    """Yield the images per second of each card's network, without decoding, in both runtimes."""
    for name in names:
        backbone = random_backbone(name)
        yield [
            f"`{name}`",
            *(f"{speed(backbone, runtime, seconds):.3g}" for runtime in ("torch", "openvino")),
        ]


def random_backbone(name: str) -> Backbone:
    """Return the backbone of a card, with random weights: the speed does not depend on them."""
    import open_clip
    import timm

    backbone = ep.get_backbone(name)
    library, _, network = CARDS[name].source.partition(":")
    if library == "timm":
        loaded = timm.create_model(network, num_classes=0).eval().requires_grad_(False)
        vars(backbone)["network"] = loaded
    elif library == "openclip":
        tiny = {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
        model = open_clip.create_model(network.partition("@")[0], text_cfg=tiny)  # texts are unused
        vars(backbone)["clip_model"] = model.eval().requires_grad_(False)
    return backbone


def speed(backbone: Backbone, runtime: str, seconds: float) -> float:
    """Return the images per second of a network on all processors."""
    from concurrent.futures import ThreadPoolExecutor

    batch = 2  # the largest networks need seconds for an image
    size = (batch, *backbone.preprocess.size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    encoder = backbone.open(precision="fp32", runtime=runtime, batch_size=batch)
    threads = getattr(encoder, "streams", 1)
    encoder.encode(pixels)
    with ThreadPoolExecutor(threads) as pool:
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            list(pool.map(encoder.encode, [pixels] * threads))
            done += batch * threads
        return done / (time.perf_counter() - started)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
