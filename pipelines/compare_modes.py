"""Compare training modes: forgetting in a network that is trained on the newest labels only.

    python pipelines/compare_modes.py
    python pipelines/compare_modes.py --modes incremental replay --seeds 3
    python pipelines/compare_modes.py --data mnist --source MNIST/ --batch-size 128
    python pipelines/compare_modes.py --data mnist.npz --strategies random margin --seeds 3
    python pipelines/compare_modes.py --embeddings

A network with one hidden layer is trained until the whole pool is labelled, with every strategy and
in every mode. *cumulative* trains a new network on all labels. *half_cumulative* continues from the
previous weights, also with all labels. *incremental* continues with the newest batch only. *replay*
adds a sample of earlier labels to the newest batch. All default strategies except random choose the
easy items last. In mode *incremental* the last batches are therefore easy, and the network forgets
the other items: the accuracy of margin peaks and falls. Mode *replay* prevents this.

The data are the pixels of scikit-learn's digits, of MNIST or Fashion-MNIST, or any ``.npz`` file
with ``x_train``, ``y_train``, ``x_test``, ``y_test``. With ``--embeddings``, they are the
embeddings of a dataset's images, and the script also writes a report (HTML). Writes a table (CSV)
and a figure (PDF). After an interruption, the same command continues.

Bosser, Sorstadius, Haghir Chehreghani (2020), "Model-centric and data-centric aspects of active
learning for deep neural networks", arXiv:2009.10835.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import embedpipe as ep
from embedpipe.labels import write_table

MODES = ("cumulative", "half_cumulative", "incremental", "replay")
STRATEGIES = ("random", "entropy", "least_confidence", "margin")
METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "ece")
SHARES = (5, 10, 20, 30, 50, 70, 90, 100)
"""Labelled percentages of the pool in the printed table."""

PALETTE = {
    "random": "#8a8f98",
    "entropy": "#0f6fb5",
    "least_confidence": "#d1651a",
    "margin": "#1b8a5a",
}

Split = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Run every mode with every strategy, then print a table and write the files."""
    arguments = parse()
    make_loop = (
        loops_on_embeddings(arguments) if arguments.embeddings else loops_on_pixels(arguments)
    )
    loops: dict[tuple[str, str], list[ep.ActiveLoop]] = {}
    for mode in arguments.modes:
        for strategy in arguments.strategies:
            for seed in range(arguments.seeds):
                loop = make_loop(strategy=strategy, mode=mode, seed=seed).fit(arguments.rounds)
                loops.setdefault((mode, strategy), []).append(loop)
            scores = mean_f1(loops[mode, strategy])
            print(
                f"{mode:>15} {strategy:<17} peak {scores.max():.3f}   end {scores[-1]:.3f}",
                flush=True,
            )
    arguments.output.mkdir(parents=True, exist_ok=True)
    print_table(loops)
    print("\ntable: ", write_csv(loops, arguments.output / "modes.csv"))
    print("figure:", draw(loops, arguments.output / "modes.pdf"))
    if arguments.embeddings:
        print("report:", report(loops, arguments.output / "modes.html"))


def options_of(arguments: argparse.Namespace, mode: str) -> dict[str, Any]:
    """Return the options that all loops of a mode have in common."""
    buffer_size = arguments.buffer_size or 4 * arguments.batch_size
    return {
        # The first labels are the same in every mode and for every strategy.
        "initial": "random",
        "initial_size": arguments.batch_size,
        "head": arguments.head,
        "batch_size": arguments.batch_size,
        "mode": mode,
        "buffer_size": buffer_size if mode == "replay" else None,
        "advice": "cheap",  # cross-validation in every round would take most of the time
        "workspace": ep.Workspace(arguments.workspace),
    }


def loops_on_pixels(arguments: argparse.Namespace) -> Any:
    """Return a function that makes a loop on the pixels."""
    (X_train, y_train), (X_test, y_test) = load_pixels(arguments)
    print(f"pool {len(X_train):,}, test {len(X_test):,} images, {X_train.shape[1]} pixels")

    def make_loop(mode: str, **options: Any) -> ep.ActiveLoop:
        options |= options_of(arguments, mode)
        return ep.ActiveLoop.from_arrays(X_train, y_train, X_test, y_test, **options)

    return make_loop


def loops_on_embeddings(arguments: argparse.Namespace) -> Any:
    """Return a function that makes a loop on the embeddings of the dataset's images."""
    embeddings = ep.embed(
        load_dataset(arguments),
        backbone=arguments.backbone,
        workspace=ep.Workspace(arguments.workspace),
    )
    print(embeddings)

    def make_loop(mode: str, **options: Any) -> ep.ActiveLoop:
        options |= options_of(arguments, mode)
        return ep.ActiveLoop(embeddings, **options)

    return make_loop


def load_dataset(arguments: argparse.Namespace) -> Any:
    """Load the dataset."""
    return ep.load_dataset(
        arguments.data,
        source=arguments.source,
        download=arguments.download,
        directory=ep.Workspace(arguments.workspace).downloads,
    )


def load_pixels(arguments: argparse.Namespace) -> tuple[Split, Split]:
    """Return the training and the test split, with pixels from 0 to 1."""
    if arguments.data.endswith(".npz"):
        with np.load(arguments.data) as arrays:
            X = {split: arrays[f"x_{split}"] for split in ("train", "test")}
            y = {split: arrays[f"y_{split}"] for split in ("train", "test")}
        brightest = max(1, X["train"].max())
        flat = {split: X[split].reshape(len(X[split]), -1) / brightest for split in X}
        return (flat["train"], y["train"]), (flat["test"], y["test"])
    dataset = load_dataset(arguments)
    return pixels_of(dataset.subset("train")), pixels_of(dataset.subset("test"))


def pixels_of(dataset: ep.Dataset) -> Split:
    """Return the grey values of a dataset's images, (n, pixels), and their labels."""
    rows, labels = [], []
    for item, image in dataset.images():
        rows.append(np.asarray(image.convert("L"), dtype=np.float32).ravel() / 255)
        labels.append(item.label)
    return np.stack(rows), np.array(labels)


def mean_f1(loops: list[ep.ActiveLoop]) -> np.ndarray:
    """Return the (R,) macro-F1 of the rounds, as means over the seeds."""
    return np.mean([loop.test_metrics["macro_f1"] for loop in loops], axis=0)


def print_table(loops: dict[tuple[str, str], list[ep.ActiveLoop]]) -> None:
    """Print the macro-F1 by labelled percentage of the pool."""
    shares = [
        share for share in SHARES if share <= next(iter(loops.values()))[0].labelled_percent[-1]
    ]
    print("\nmacro-F1 by labelled share\n" + " " * 33 + "".join(f"{s:>7} %" for s in shares))
    for (mode, strategy), runs in loops.items():
        fractions, scores = runs[0].labelled_percent, mean_f1(runs)
        at = [int(np.searchsorted(fractions, share - 1e-9)) for share in shares]
        print(f"{mode:>15} {strategy:<17}" + "".join(f"{scores[row]:>9.3f}" for row in at))


def write_csv(loops: dict[tuple[str, str], list[ep.ActiveLoop]], path: Path) -> Path:
    """Write a row for each round of each run."""
    rows = [
        {
            "mode": mode,
            "strategy": strategy,
            "seed": seed,
            "round": number,
            "labelled_percent": f"{percent:.4f}",
            **{name: f"{loop.test_metrics[name][number]:.6f}" for name in METRICS},
            "most_informative": " ".join(map(str, loop.most_informative[number])),
        }
        for (mode, strategy), runs in loops.items()
        for seed, loop in enumerate(runs)
        for number, percent in enumerate(loop.labelled_percent)
    ]
    return write_table({name: [row[name] for row in rows] for name in rows[0]}, path)


def draw(loops: dict[tuple[str, str], list[ep.ActiveLoop]], path: Path) -> Path:
    """Draw a panel for each mode, with a line for each strategy."""
    modes = list(dict.fromkeys(mode for mode, _ in loops))
    style = {
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
    }
    with rc_context(style):
        figure = Figure(figsize=(1.9 * len(modes), 2.3), layout="constrained")
        axes = figure.subplots(1, len(modes), sharey=True, squeeze=False)
        for axis, mode in zip(axes[0], modes, strict=True):
            for strategy in [name for other, name in loops if other == mode]:
                runs = loops[mode, strategy]
                axis.plot(
                    runs[0].labelled_percent, mean_f1(runs), linewidth=1.2,
                    color=PALETTE.get(strategy), label=strategy.replace("_", " "),
                )  # fmt: skip
            axis.set_title(mode.replace("_", "-"), fontsize=8)
            axis.set_xlabel("labelled (%)")
            axis.grid(axis="y", color="#e3e5e8", linewidth=0.6)
        axes[0][0].set_ylabel("macro-F1")
        axes[0][-1].legend(frameon=False, fontsize=7, loc="lower right")
        figure.savefig(path, metadata={"CreationDate": None})
    return path


def report(loops: dict[tuple[str, str], list[ep.ActiveLoop]], path: Path) -> Path:
    """Write an HTML report with one strategy in every mode."""
    strategy = "margin" if any(name == "margin" for _, name in loops) else next(iter(loops))[1]
    shown = [runs[0] for (_, name), runs in loops.items() if name == strategy]
    data = ep.report_of(shown, command="python pipelines/compare_modes.py --embeddings")
    return ep.write_report(path, data)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", default="digits", help="digits, mnist, fashion_mnist or a .npz file"
    )
    parser.add_argument("--source", help="folder or archive of a registered dataset")
    parser.add_argument("--download", action="store_true", help="download a registered dataset")
    parser.add_argument("--embeddings", action="store_true", help="use embeddings, not pixels")
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    parser.add_argument("--head", default="mlp(hidden=64, epochs=20)")
    parser.add_argument(
        "--batch-size",
        type=int,
        default=16,
        help="labels of a round, such as 128 for 60,000 images",
    )
    parser.add_argument(
        "--buffer-size",
        type=int,
        help="number of earlier labels in mode replay [default: four batches]",
    )
    parser.add_argument("--rounds", type=int, help="[default: until the whole pool is labelled]")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--workspace", type=Path, help="folder of the runs")
    parser.add_argument("--output", type=Path, default=Path("modes-report"))
    hidden = argparse.SUPPRESS  # the old name of --batch-size
    parser.add_argument("--update-size", dest="batch_size", type=int, default=hidden, help=hidden)
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
