r"""Compare strategies on one dataset, with many seeds and statistical tests.

    python pipelines/compare_strategies.py                    # digits, offline, minutes
    python pipelines/compare_strategies.py clothing --source clothing-dataset-small.zip
    python pipelines/compare_strategies.py cifar10 --source cifar10-images.zip \
        --initial-size 10 --batch-size 10 --rounds 20         # the protocol of arXiv:2401.14555

Embeds the dataset once, runs every strategy with every seed in parallel, prints a table, and writes
a report and a figure. After an interruption, the same command continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import embedpipe as ep
from embedpipe.experiments import Experiment, Progress
from embedpipe.reports import comparison_of, write_comparison, write_figure

STRATEGIES = ("auto", "margin", "badge", "coreset", "typiclust", "random")


def main() -> None:
    """Run the comparison."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(
        arguments.dataset,
        source=arguments.source,
        download=arguments.download,
        directory=workspace.downloads,
    )
    print(dataset)
    grid = Experiment(
        ep.embed(dataset, backbone=arguments.backbone, workspace=workspace),
        strategies=arguments.strategies,
        seeds=list(range(arguments.seed_offset, arguments.seed_offset + arguments.seeds)),
        initial_size=arguments.initial_size,
        batch_size=arguments.batch_size,
        rounds=arguments.rounds,
        workspace=workspace,
    )
    results = grid.run(workers=arguments.workers, progress=ProgressPrinter())
    summary = results.summary()
    print(f"\n{summary}\n")
    command = "python pipelines/compare_strategies.py"
    data = comparison_of(results, summary, command=command)
    print("report:", write_comparison(arguments.output / "report.html", data))
    print("figure:", write_figure(results, arguments.output / "curves.pdf"))
    for failure in results.failures:
        print("failed:", failure)


class ProgressPrinter:
    """Print the progress after every finished run."""

    def __init__(self) -> None:
        self._finished = -1

    def __call__(self, progress: Progress) -> None:
        """Print the progress if another run is finished."""
        if progress.cells + progress.failed > self._finished:
            self._finished = progress.cells + progress.failed
            print(progress, flush=True)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", nargs="?", default="digits")
    parser.add_argument("--source", help="folder or archive with the images")
    parser.add_argument("--download", action="store_true", help="download the images")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--workspace", type=Path, help="folder of the cache and the runs")
    parser.add_argument("--output", type=Path, default=Path("comparison"))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument("--initial-size", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=int, help="processes [default: one for each processor]")
    hidden = argparse.SUPPRESS  # the old name of --seed-offset
    parser.add_argument("--first-seed", dest="seed_offset", type=int, default=hidden, help=hidden)
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
