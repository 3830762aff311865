"""Measure `embedpipe check`: recall of planted wrong labels, copies and outliers, and memory."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import Memory, clusters, without_slowing_settings
from PIL import Image

import embedpipe as ep
from embedpipe.checks import check, confident_errors
from embedpipe.heads import LogisticHead, cross_validated_probabilities

FILTERS = ("confident_learning", "prune_by_noise_rate", "prune_by_class", "both")
SHARE = 0.05
"""Share of the labels that are flipped."""


def main() -> int:
    arguments = parse()
    {"labels": labels, "duplicates": duplicates, "outliers": outliers, "memory": memory}[
        arguments.what
    ](arguments)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["labels", "duplicates", "outliers", "memory"])
    parser.add_argument("--dataset", default="clothing")
    parser.add_argument("--source")
    parser.add_argument("--split", help="split of the dataset for duplicates [default: all]")
    parser.add_argument("--outliers", help="archive of CIFAR-10, the source of the outliers")
    parser.add_argument("--workspace")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--each", type=int, default=100, help="number of planted copies of each kind"
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    return parser.parse_args()


# Labels


def labels(arguments: argparse.Namespace) -> None:
    """Flip labels, and compare our list of wrong labels with the lists of cleanlab."""
    from cleanlab.filter import find_label_issues

    from embedpipe.checks.label_errors import estimated_joint

    dataset = ep.load_dataset(arguments.dataset, source=arguments.source)
    embeddings = ep.embed(dataset, workspace=arguments.workspace)
    rows = np.array([row for row, item in enumerate(embeddings.items) if item.label])
    names, truth = np.unique([embeddings.items[row].label for row in rows], return_inverse=True)
    matrix = np.asarray(embeddings)[rows]
    print(f"{arguments.dataset}: {rows.size} labels, {names.size} classes, {SHARE:.0%} flipped")
    found: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(arguments.seeds):
        codes, flipped = flip(truth, names.size, seed)
        values, scored = cross_validated_probabilities(LogisticHead(), matrix, names[codes])
        assert scored.all()
        lists = {"embedpipe check": confident_errors(values, codes)}
        for name in FILTERS:
            lists[f"cleanlab {name}"] = find_label_issues(codes, values, filter_by=name, n_jobs=1)
        differences = (lists["embedpipe check"] != lists["cleanlab both"]).sum()
        # cleanlab rounds ties at random; with our counts, both lists have the same rounding.
        counts = estimated_joint(values, codes)
        theirs = find_label_issues(
            codes, values, filter_by="both", confident_joint=counts, n_jobs=1
        )
        remaining = (lists["embedpipe check"] != theirs).sum()
        print(
            f"seed {seed}: {differences} differences from cleanlab `both`; {remaining} differences "
            "with equal rounding of ties"
        )
        lists["prediction differs"] = values.argmax(axis=1) != codes
        for name, listed in lists.items():
            correct = (listed & flipped).sum()
            scores = correct / listed.sum(), correct / flipped.sum(), int(listed.sum())
            found.setdefault(name, []).append(scores)
    print("| list | precision | recall | listed |\n| --- | --- | --- | --- |")
    for name, each in found.items():
        precision, recall, count = np.mean(each, axis=0)
        low, high = (np.std(each, axis=0, ddof=1))[:2]
        print(f"| {name} | {precision:.3f} ± {low:.3f} | {recall:.3f} ± {high:.3f} | {count:.0f} |")


def flip(truth: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the class codes, wrong for a share of random items, and a mask of these items."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(truth.size, dtype=bool)
    flipped[rng.permutation(truth.size)[: round(SHARE * truth.size)]] = True
    codes = truth.copy()
    codes[flipped] = (truth[flipped] + rng.integers(1, classes, flipped.sum())) % classes
    return codes, flipped


# Duplicates


def jpeg(quality: int) -> Callable[[Image.Image], bytes]:
    def make(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return make


def resized(factor: float) -> Callable[[Image.Image], bytes]:
    def make(image: Image.Image) -> bytes:
        size = tuple(max(1, round(factor * side)) for side in image.size)
        return jpeg(90)(image.resize(size, Image.Resampling.LANCZOS))

    return make


def cropped(share: float) -> Callable[[Image.Image], bytes]:
    """Remove a share of the width and the height, divided at random between opposite sides."""

    def make(image: Image.Image) -> bytes:
        width, height = image.size
        rng = np.random.default_rng([width, height, round(1000 * share), image.getpixel((0, 0))[0]])
        left, top = (rng.random(2) * share * np.array([width, height])).round().astype(int)
        box = (left, top, left + round((1 - share) * width), top + round((1 - share) * height))
        return jpeg(90)(image.crop(box))

    return make


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    **{f"jpeg{quality}": jpeg(quality) for quality in (90, 70, 50, 30, 15)},
    **{f"resized{factor}": resized(factor) for factor in (1.5, 0.75, 0.5, 0.35)},
    **{f"cropped{share}": cropped(share) for share in (0.02, 0.05, 0.1)},
}


def duplicates(arguments: argparse.Namespace) -> None:
    """Plant changed copies of random photos; count those that are grouped with their photo."""
    dataset = ep.load_dataset(arguments.dataset, source=arguments.source)
    if arguments.split:
        dataset = dataset.subset(arguments.split)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(dataset))[: arguments.each * len(KINDS)]
    with tempfile.TemporaryDirectory() as folder:
        origin = {}
        ids = [item.id for item in dataset.items]
        content = dict(dataset.source.read(ids))
        for name, data in content.items():
            write(Path(folder) / "original" / name, data)
        for at, position in enumerate(chosen):
            kind, make = list(KINDS.items())[at % len(KINDS)]
            with Image.open(io.BytesIO(content[ids[position]])) as image:
                data = make(image.convert("RGB"))
            name = f"planted/{kind}/{at:05d}.jpg"
            write(Path(folder) / name, data)
            origin[name] = f"original/{ids[position]}"
        embeddings = ep.embed(folder, workspace=arguments.workspace)
        for pixels in (True, False):
            started = time.perf_counter()
            checked = check(embeddings, labels={}, pixels=pixels)
            print_recall(embeddings, checked, origin, pixels, time.perf_counter() - started)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def print_recall(embeddings, checked, origin, pixels, seconds) -> None:
    names = [item.id for item in embeddings.items]
    group_of = {
        names[row]: number
        for number, rows in enumerate((*checked.duplicates, *checked.near_duplicates.groups))
        for row in rows.tolist()
    }
    total, hits = Counter(), Counter()
    for name, source in origin.items():
        kind = name.split("/")[1]
        total[kind] += 1
        hits[kind] += group_of.get(name, -1) == group_of.get(source, -2)
    print(f"\npixels compared: {pixels}; {len(names)} images, {seconds:.1f} s")
    print("| planted | found |\n| --- | --- |")
    for kind in KINDS:
        print(f"| {kind} | {hits[kind]} of {total[kind]} |")
    print(f"| all | {hits.total() / total.total():.1%} |")
    true = {frozenset((name, source)) for name, source in origin.items()}
    others = [
        [names[row] for row in rows.tolist()]
        for rows in checked.near_duplicates.groups
        if frozenset(names[row] for row in rows.tolist()) not in true
    ]
    count = len(checked.near_duplicates.groups)
    print(f"{count} groups of near duplicates; {len(others)} of them are no planted pair")
    for group in others[:60]:
        print("   ", *group)
    limits = checked.near_duplicates
    print(f"limits: ratio {limits.ratio_limit}, likeness {limits.likeness_limit}")


# Outliers


def outliers(arguments: argparse.Namespace) -> None:
    """Add images of another dataset to the photos, and count how many are listed as outliers."""
    embeddings = ep.embed(
        ep.load_dataset(arguments.dataset, source=arguments.source), workspace=arguments.workspace
    )
    others = ep.embed(
        ep.load_dataset("cifar10", source=arguments.outliers), workspace=arguments.workspace
    )
    from embedpipe.checks import find_outliers
    from embedpipe.index import Index

    alone = find_outliers(Index(np.asarray(embeddings)))
    print(f"{len(embeddings)} photos without additions: {alone.rows.size} outliers")
    print([embeddings.items[row].id for row in alone.rows[:40]])
    for seed in range(arguments.seeds):
        some = np.random.default_rng(seed).permutation(len(others))[:8]
        matrix = np.concatenate([np.asarray(embeddings), np.asarray(others)[some]])
        found = find_outliers(Index(matrix)).rows
        added = (found >= len(embeddings)).sum()
        print(f"seed {seed}: {added} of 8 added images among {found.size} outliers")


# Memory


def memory(arguments: argparse.Namespace) -> None:
    """Group near duplicates among a million vectors with a thousand planted pairs."""
    from embedpipe.checks import near_duplicates
    from embedpipe.index import Index

    with tempfile.TemporaryDirectory() as folder:
        n, planted = arguments.items, arguments.items // 1000
        path = Path(folder) / "matrix.npy"
        clusters(path, n, arguments.dim)
        matrix = np.load(path, mmap_mode="r+")
        rng = np.random.default_rng(1)
        rows = rng.permutation(n)[: 2 * planted].reshape(2, planted)
        noise = rng.standard_normal((planted, arguments.dim)).astype(np.float32)
        noise *= 0.05 * np.linalg.norm(matrix[rows[0]], axis=1, keepdims=True)
        matrix[rows[1]] = matrix[rows[0]] + noise / arguments.dim**0.5
        matrix.flush()
        matrix = np.load(path, mmap_mode="r")
        names = np.arange(n)
        started = time.perf_counter()
        used = Memory()
        with used.watch():
            found = near_duplicates(Index(matrix, kind="ivf"), names, None)
        seconds = time.perf_counter() - started
        group = np.full(n, -1)
        for number, members in enumerate(found.groups):
            group[members] = number
        hit = (group[rows[0]] == group[rows[1]]) & (group[rows[0]] >= 0)
        print(f"{n:,} vectors, {arguments.dim} dimensions: {seconds:.0f} s")
        print(f"{used.extra / n:.0f} bytes of memory for each item")
        print(f"{hit.sum()} of {planted} planted pairs; {len(found.groups)} groups")


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
