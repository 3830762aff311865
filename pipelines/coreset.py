"""Core-set and random selection in the protocol of Sener and Savarese, on cached embeddings.

    python pipelines/coreset.py cifar10 --source cifar10-images.zip
    python pipelines/coreset.py flowers102 --source flowers-102/ --head logistic
    python pipelines/coreset.py digits --strategies coreset random bald --tracker tensorboard

There are 10 episodes of 100 labels. Each episode trains a new network with one hidden layer and
dropout for 10 epochs (batches of 32, learning rate 0.001 decayed to a tenth). Dropout is also on at
test time (Monte Carlo dropout): probabilities are means over several networks. ``bald`` needs the
predictions of these networks. Each episode writes a checkpoint: the network, the state of the
optimiser, the training loss and the test accuracy. `ep.load_head` reads it, and `partial_fit`
continues the training exactly. After an interruption, the same command continues.

Sener, Savarese (2018), "Active learning for convolutional neural networks: a core-set approach",
arXiv:1708.00489. The paper trains the whole network; here the backbone is frozen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import embedpipe as ep

NETWORK = (
    "mlp(hidden=256, dropout=0.5, epochs={epochs}, lr=0.001, gamma=0.1, batch_size=32, "
    "stochastic_pred=True, keep_optimiser=True)"
)


def main() -> None:
    """Run the protocol and print the table."""
    arguments = parse()
    head = NETWORK.format(epochs=arguments.epochs) if arguments.head == "mlp" else arguments.head
    ep.heads.heads.name_of(ep.get_head(head))  # only registered heads can be stored
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(
        arguments.dataset,
        source=arguments.source,
        download=arguments.download,
        directory=workspace.downloads,
    )
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)
    tracker = ep.get_tracker(arguments.tracker, arguments.output) if arguments.tracker else None

    curves: dict[str, list[list[float]]] = {}
    for strategy in arguments.strategies:
        curves[strategy] = []
        for seed in range(arguments.seeds):
            loop = ep.ActiveLoop(
                embeddings,
                # All strategies have the same first labels.
                initial="random",
                strategy=strategy,
                head=head,
                initial_size=arguments.initial_size,
                batch_size=arguments.batch_size,
                seed=seed,
                workspace=workspace,
            )
            print(f"{strategy}, seed {seed}")
            for record in loop.run(rounds=arguments.episodes - 1):
                print(f"  {record}", flush=True)
                checkpoint(loop, record, arguments.output / "checkpoints")
                if tracker is not None:
                    tracker(loop, record)
            curves[strategy].append([record.accuracy for record in loop.records])
            labelled = [record.labelled for record in loop.records]
    if tracker is not None:
        tracker.close()
    print_table(labelled, curves)


def checkpoint(loop: ep.ActiveLoop, record: ep.RoundRecord, folder: Path) -> None:
    """Write the network, the optimiser's state, the loss and the accuracy of an episode."""
    path = folder / loop.run_id() / f"episode_{record.round:02d}.safetensors"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    head = loop.head_after(record.round)
    metadata = {
        "episode": record.round,
        "labelled": record.labelled,
        "accuracy": record.accuracy,
        "macro_f1": record.macro_f1,
        "loss": record.loss,
        "optimiser": optimiser_of(head),
        "rows": record.rows.tolist(),
    }
    ep.save_head(head, path, metadata=metadata)


def optimiser_of(head: Any) -> dict[str, Any] | None:
    """Return the optimiser's name and steps, or None for heads without an iterative optimiser.

    The running means of AdamW are arrays of the checkpoint.
    """
    if hasattr(head, "adam_steps_"):
        return {"name": "AdamW", "steps": head.adam_steps_, "learning_rate": head.adam_lr_}
    if hasattr(head, "n_iter_"):  # the weights are the whole state
        return {"name": "quasi-Newton", "steps": head.n_iter_, "converged": head.converged_}
    return None


def print_table(labelled: list[int], curves: dict[str, list[list[float]]]) -> None:
    """Print mean and standard deviation over seeds by number of labels.

    Identical runs are one observation: fewer than three distinct runs have no standard deviation.
    """
    has_spread = {name: len({*map(tuple, seeds)}) > 2 for name, seeds in curves.items()}
    print(f"\n{'labels':>6}" + "".join(f"{strategy:>18}" for strategy in curves))
    for episode, count in enumerate(labelled):
        cells = []
        for name, seeds in curves.items():
            values = [accuracies[episode] for accuracies in seeds]
            spread = f" ± {np.std(values, ddof=1):.3f}" if has_spread[name] else ""
            cells.append(f"{np.mean(values):.4f}{spread}")
        print(f"{count:>6}" + "".join(f"{cell:>18}" for cell in cells))


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("dataset", help="cifar10, flowers102, or any dataset with labels")
    parser.add_argument("--source", help="folder or archive with the images")
    parser.add_argument("--download", action="store_true", help="download the images")
    parser.add_argument("--workspace", type=Path, help="folder of the cache and the runs")
    parser.add_argument("--output", type=Path, default=Path("coreset-runs"))
    parser.add_argument("--strategies", nargs="+", default=["coreset", "random"])
    parser.add_argument("--head", default="mlp", help="mlp, logistic or another head")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--initial-size", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tracker", choices=list(ep.trackers), help="default: none")
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
