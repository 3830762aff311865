"""Loops on the clothing photos: first a core-set, then rounds of several strategies.

    python pipelines/clothing.py --source clothing-dataset-small.zip
    python pipelines/clothing.py --download

Embeds the 3,781 photos once and chooses a core-set of 200 photos. Then compares four strategies
that choose 200 more photos: CORAL, margin, least confidence, random. Prints a table and writes a
report. After an interruption, the same command continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import embedpipe as ep

STRATEGIES = ("coral", "margin", "least_confidence", "random")


def main() -> None:
    """Run the workflow."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(
        "clothing",
        source=arguments.source,
        download=arguments.download,
        directory=workspace.downloads,
    )
    print(dataset)
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)
    report = embeddings.report
    print(f"{report.embedded} embedded, {report.reused} reused in {report.seconds:.1f} s\n")

    loops = {
        strategy: ep.ActiveLoop(
            embeddings,
            initial="coreset",
            strategy=strategy,
            initial_size=arguments.initial_size,
            seed=arguments.seed,
            workspace=workspace,
        )
        for strategy in STRATEGIES
    }
    for strategy, loop in loops.items():
        print(f"coreset, then {strategy}")
        for record in loop.run(rounds=arguments.rounds, batch_size=arguments.batch_size):
            print(f"  {record}")

    print_table(loops)
    data = ep.report_of(
        [loops[name] for name in STRATEGIES if name != "random"],
        baseline=loops["random"],
        upper_baseline=loops["margin"].upper_baseline(),
        command="python pipelines/clothing.py",
    )
    print("report:", ep.write_report(arguments.output / "report.html", data))


def print_table(loops: dict[str, ep.ActiveLoop]) -> None:
    """Print the accuracy of each strategy by number of labels."""
    records = [loop.records for loop in loops.values()]
    print(f"\n{'labels':>6}" + "".join(f"{strategy:>18}" for strategy in loops))
    for row in zip(*records, strict=True):
        print(f"{row[0].labelled:>6}" + "".join(f"{r.accuracy:>18.4f}" for r in row))


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", help="folder or archive with the photos")
    parser.add_argument("--download", action="store_true", help="download the photos (107 MB)")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--workspace", type=Path, help="folder of the cache and the runs")
    parser.add_argument("--output", type=Path, default=Path("clothing-report"))
    parser.add_argument("--initial-size", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
