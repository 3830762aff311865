"""Compare replay policies on a stream of images, with several seeds.

    python pipelines/replay_clear10.py CLEAR10/                  # a CLEAR folder
    python pipelines/replay_clear10.py CLEAR10/ --features       # the feature vectors of CLEAR10
    python pipelines/replay_clear10.py digits --stream order     # from scikit-learn
    python pipelines/replay_clear10.py cifar10 --source cifar10-images.zip --stream skewed

After each experience, the buffer keeps 1 % or 5 % of the experience's images. The policy chooses
the images with the largest error norm (EL2N), the largest entropy or the smallest margin, or random
images. Training continues with the next experience and the buffer. The reference methods are naive
(no buffer) and joint (all data at once). If an experience has no test images, the seed draws 30 %
of each class as test images. Policies are compared with random selection seed by seed. Writes
tables (Parquet) and a report. After an interruption, the same command continues.

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
"""The five metrics of CLEAR, and the accuracy at the end of the stream."""


def main() -> None:
    """Run the study, print its table and write its report."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    study = ep.ReplayStudy(
        streams(arguments, workspace),
        policies=arguments.policies,
        retains=arguments.retain,
        heads=arguments.heads,
        seeds=arguments.seeds,
        pool_share=arguments.pool_share,
        workspace=workspace,
    )
    results = study.run(workers=arguments.workers, progress=show_progress)
    streaming = arguments.protocol == "streaming"
    summary = results.summary(None if streaming else METRICS)
    print(summary)
    for name, labels in results.never_learned.items():
        print(f"{name}: classes without training images: {', '.join(map(str, labels))}")
    report = ep.write_replay(arguments.output, ep.replay_of(results, summary))
    print(f"\nresults: {results.folder}\nreport: {report}")


def streams(arguments: argparse.Namespace, workspace: ep.Workspace) -> Callable[[int], ep.Stream]:
    """Return a function that makes the stream of a seed."""
    if arguments.features:
        features = ep.load_clear_features(arguments.dataset)

        def of_features(seed: int) -> ep.Stream:
            return ep.Stream.from_arrays(
                features.matrix,
                features.labels,
                features.buckets,
                features.for_seed(seed).splits,
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
    """Return a share of each experience, such as 0.05, or a total number of rows."""
    return int(text) if text.isdecimal() else float(text)


def has_bucket_0(embeddings: ep.Embeddings) -> bool:
    """Return whether the dataset contains CLEAR's bucket of unlabelled images."""
    return any(item.bucket == "0" and item.label is None for item in embeddings.items)


def show_progress(progress: object) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{progress}   ", end="", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="CLEAR folder, or name of a dataset")
    parser.add_argument("--source", help="folder or archive of a registered dataset")
    parser.add_argument("--features", action="store_true", help="use CLEAR's own feature vectors")
    parser.add_argument("--stream", default="buckets", help="buckets, classes, order, skewed, …")
    parser.add_argument(
        "--experiences", type=int, help="number of experiences, if the stream is not buckets"
    )
    parser.add_argument("--protocol", choices=("iid", "streaming"), default="iid")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--retain", nargs="+", type=size, default=[0.01, 0.05])
    parser.add_argument("--heads", nargs="+", default=["logistic"])
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--pool-share",
        type=float,
        default=1.0,
        help="share of the training images that each seed draws; CLEAR's protocol uses all",
    )
    parser.add_argument("--workers", type=int)
    parser.add_argument("--workspace", help="folder of the cache and the runs")
    parser.add_argument(
        "--output", type=Path, default=Path("replay.html"), help="file of the report"
    )
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
