"""What a strategy's labels are worth: test accuracy of the same head, over several seeds.

    python benchmarks/labels.py clothing --source clothing-dataset-small.zip
    python benchmarks/labels.py digits --seeds 5 --strategies margin badge auto

Two tables. *From nothing*: one batch by each strategy that needs no labels, at several sizes.
*Later*: every strategy goes on from the same first batch, chosen by `--initial`; the figure is the
mean accuracy over the rounds. The head and its regularisation are the default ones; the test split
is used for these figures and for nothing else. The seed changes the strategies' random choices,
and the test split where the dataset has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from common import without_slowing_settings

import embedpipe as ep

FIRST_SIZES = (20, 50, 100, 200)


def main() -> int:
    arguments = parse()
    embeddings = ep.embed(
        ep.load_dataset(arguments.dataset, source=arguments.source), workspace=arguments.workspace
    )
    names = arguments.strategies or list(ep.strategies.strategies)
    if "first" in arguments.tables:
        free = [name for name in names if not ep.strategies.strategies[name].needs_labels]
        print_first(embeddings, free, range(arguments.seeds))
    if "later" in arguments.tables:
        print_later(embeddings, names, arguments)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--source")
    parser.add_argument("--workspace")
    parser.add_argument("--strategies", nargs="*", help="default: all")
    parser.add_argument(
        "--tables", nargs="*", choices=["first", "later"], default=["first", "later"]
    )
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--initial", default="typiclust")
    parser.add_argument("--initial-size", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=13)
    return parser.parse_args()


def print_first(embeddings: ep.Embeddings, names: list[str], seeds: range) -> None:
    print(f"\n{embeddings.dataset.name}, {len(seeds)} seeds: test accuracy from one batch\n")
    print(f"| strategy | {' | '.join(map(str, FIRST_SIZES))} |")
    print(f"| --- |{' --- |' * len(FIRST_SIZES)}")
    for name in names:
        columns = [
            [next(accuracies(embeddings, seed, initial=name, initial_size=n)) for seed in seeds]
            for n in FIRST_SIZES
        ]
        print(f"| `{name}` | {' | '.join(told(column) for column in columns)} |", flush=True)


def print_later(embeddings: ep.Embeddings, names: list[str], arguments: argparse.Namespace) -> None:
    last = arguments.initial_size + arguments.rounds * arguments.batch_size
    print(
        f"\n{embeddings.dataset.name}, {arguments.seeds} seeds, {arguments.initial} first: "
        f"mean test accuracy from {arguments.initial_size + arguments.batch_size} to {last} labels "
        f"by {arguments.batch_size}, and at the end\n"
    )
    print("| strategy | mean over rounds | at the end |\n| --- | --- | --- |")
    for name in names:
        curves = [
            list(
                accuracies(
                    embeddings,
                    seed,
                    rounds=arguments.rounds,
                    batch_size=arguments.batch_size,
                    initial=arguments.initial,
                    initial_size=arguments.initial_size,
                    strategy=name,
                )
            )[1:]
            for seed in range(arguments.seeds)
        ]
        means, ends = [np.mean(curve) for curve in curves], [curve[-1] for curve in curves]
        print(f"| `{name}` | {told(means)} | {told(ends)} |", flush=True)


def accuracies(
    embeddings: ep.Embeddings, seed: int, rounds: int = 0, batch_size: int = 1, **options: object
) -> Iterator[float]:
    """Yield the test accuracy after each round of a loop."""
    loop = ep.ActiveLoop(embeddings, seed=seed, **options)
    for record in loop.run(rounds=rounds, batch_size=batch_size):
        assert record.accuracy is not None
        yield record.accuracy


def told(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
