"""Which of the old images to keep: replay policies on a stream, with as many seeds as it takes.

    python pipelines/replay_clear10.py CLEAR10/                  # a CLEAR tree, either layout
    python pipelines/replay_clear10.py CLEAR10/ --features       # its shipped vectors instead
    python pipelines/replay_clear10.py digits --stream order     # comes with scikit-learn
    python pipelines/replay_clear10.py cifar10 --source cifar10-images.zip --stream skewed

After each part of the stream 1 % or 5 % of it is kept: the items with the largest error norm
(EL2N), the largest entropy, the smallest margin, or random ones. The head goes on learning from
the next part and what was kept. Naive keeps nothing, joint has everything at once. Each is run with
several seeds, which draw the test images of each part, and compared with random choice seed by
seed. Writes the tables (Parquet) and a page. Killed and run again, it continues.

Lin, Shi, Pathak, Ramanan (2021), "The CLEAR benchmark: continual learning on real-world imagery",
NeurIPS datasets and benchmarks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import embedpipe as ep

POLICIES = ("random", "el2n", "entropy", "margin")
METRICS = (
    "clear_accuracy",
    "clear_in_domain",
    "clear_next_domain",
    "clear_backward",
    "clear_forward",
    "gem_accuracy",
)
"""CLEAR's five, and the accuracy at the end of the stream."""


def main() -> None:
    """Run the study, print its table and write its page."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    study = ep.ReplayStudy(
        streams(arguments, workspace),
        policies=arguments.policies,
        retains=arguments.retain,
        heads=arguments.heads,
        seeds=arguments.seeds,
        workspace=workspace,
    )
    results = study.run(workers=arguments.workers, progress=tell)
    streaming = arguments.protocol == "streaming"
    summary = results.summary(None if streaming else METRICS)
    print(summary)
    for name, labels in results.never_learned.items():
        print(f"{name}: tested but never learned: {', '.join(map(str, labels))}")
    report = ep.write_replay(arguments.output, ep.replay_of(results, summary))
    print(f"\nresults: {results.folder}\nreport: {report}")


def streams(arguments: argparse.Namespace, workspace: ep.Workspace) -> Callable[[int], ep.Stream]:
    """Return what makes the stream of a seed."""
    if arguments.features:
        found = ep.load_clear_features(arguments.dataset)

        def of_features(seed: int) -> ep.Stream:
            return ep.Stream.from_arrays(
                found.matrix,
                found.labels,
                found.buckets,
                found.for_seed(seed).splits,
                protocol=arguments.protocol,
                seed=seed,
                name="clear10-features",
            )

        return of_features
    dataset = ep.load_dataset(arguments.dataset, source=arguments.source)
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)

    def of_images(seed: int) -> ep.Stream:
        return ep.Stream.of(
            embeddings,
            arguments.stream,
            n=arguments.experiences,
            leave_out=["0"] if arguments.stream == "buckets" and has_bucket_0(embeddings) else [],
            protocol=arguments.protocol,
            seed=seed,
        )

    return of_images


def size(text: str) -> float | int:
    """Return a share of each experience, such as 0.05, or a number of rows in all."""
    return int(text) if text.isdecimal() else float(text)


def has_bucket_0(embeddings: ep.Embeddings) -> bool:
    """Whether the images that nobody labelled are listed as well."""
    return any(item.bucket == "0" and item.label is None for item in embeddings.items)


def tell(progress: object) -> None:
    """Show how far it is."""
    if sys.stderr.isatty():
        print(f"\r{progress}   ", end="", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="the folder of a CLEAR tree, or the name of a dataset")
    parser.add_argument("--source", help="folder or archive with a named dataset's images")
    parser.add_argument("--features", action="store_true", help="the vectors shipped with CLEAR")
    parser.add_argument("--stream", default="buckets", help="buckets, classes, order, skewed, …")
    parser.add_argument("--experiences", type=int, help="how many, where the data do not tell")
    parser.add_argument("--protocol", choices=("iid", "streaming"), default="iid")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--retain", nargs="+", type=size, default=[0.01, 0.05])
    parser.add_argument("--heads", nargs="+", default=["logistic"])
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--workspace", help="where the cache and the runs are kept")
    parser.add_argument("--output", type=Path, default=Path("replay.html"), help="the page")
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
