r"""Class-incremental learning in the style of Avalanche, with six methods on cached vectors.

    python pipelines/avalanche_style.py cifar10 --source cifar10-images.zip
    python pipelines/avalanche_style.py digits --memory 100         # offline

Each seed divides the classes into experiences. A linear layer learns one experience after the
other by SGD. It sees no task labels, and is tested on all classes. The methods, with their names in
Avalanche:

    naive   the new images only: the lower baseline             Naive
    replay  the new images and a class-balanced buffer          ReplayPlugin
    gdumb   a new layer, trained on the buffer only             GDumbPlugin
    ewc     elastic weight consolidation: no buffer             EWCPlugin
    lwf     learning without forgetting: no buffer              LwFPlugin
    joint   all images at once: the upper baseline              JointTraining

The row of replay has the name of the policy that fills its buffer, `class_balanced`.

Embeds the images once, prints a table, and writes a report with the accuracy matrices. After an
interruption, the same command continues. `Stream.to_avalanche` gives the same experiences to
Avalanche, and `Stream.from_avalanche` takes a benchmark of Avalanche.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import embedpipe as ep

METRICS = ("gem_accuracy", "forgetting_last", "clear_in_domain")
"""Final accuracy, loss of accuracy since an experience was learned, accuracy on new classes."""


def main() -> None:
    """Run the study, print its table and write its report."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(arguments.dataset, source=arguments.source)
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)

    def stream(seed: int) -> ep.Stream:
        return ep.Stream.of(embeddings, "classes", n=arguments.experiences, seed=seed)

    study = ep.ReplayStudy(
        stream,
        heads=[arguments.head],
        methods=["replay", "gdumb", f"ewc(strength={arguments.strength:g})", "lwf"],
        reference_methods=["naive", "joint"],
        policies=["class_balanced"],
        baseline="class_balanced",
        retains=[arguments.memory],
        mix="balanced",  # as many images of the buffer as new images in each step
        pool_share=1,  # all training images; the order of the classes differs between seeds
        seeds=arguments.seeds,
        workspace=workspace,
    )
    results = study.run(workers=arguments.workers, progress=show_progress)
    summary = results.summary(METRICS)
    print(summary)
    report = ep.write_replay(arguments.output, ep.replay_of(results, summary))
    print(f"\nresults: {results.folder}\nreport: {report}")


def show_progress(progress: object) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{progress}   ", end="", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="name of a dataset, or a folder with class folders")
    parser.add_argument("--source", help="folder or archive of a registered dataset")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--experiences", type=int, default=5)
    parser.add_argument("--memory", type=int, default=500, help="images in the buffer")
    parser.add_argument("--head", default="sgd", help='"sgd(lr=0.1, epochs=5)", "sgd(hidden=256)"')
    parser.add_argument("--strength", type=float, default=100, help="weight of the penalty of ewc")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="processes [default: one for each processor]")
    parser.add_argument("--workspace", help="folder of the cache and the runs")
    parser.add_argument("--output", type=Path, default=Path("continual.html"), help="the report")
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
