"""Label CIFAR-10 in the terminal, the least certain predictions first.

    python pipelines/annotate_cifar10.py --source cifar10-images.zip
    python pipelines/annotate_cifar10.py --source cifar10-images.zip --simulate

Embeds the 60,000 images once. Core-set selection chooses the first images to label; each further
round asks for the training images with the least certain predictions. The script never shows true
labels. It uses the true labels of the test images to measure the accuracy after each round. Answers
are stored at once, so that after an interruption the same command continues with the same question.
With --simulate, the true labels are the answers, in a separate label log.
"""

from __future__ import annotations

import argparse
import getpass
import os
import time
from pathlib import Path

import numpy as np

import embedpipe as ep
from embedpipe.labelling import Annotation, LabellingSession, Model, Person, Question, Terminal
from embedpipe.labels import LabelLog, write_table


class TrueLabels:
    """A simulated annotator that is always right."""

    def __init__(self, dataset: ep.Dataset) -> None:
        self._label = {item.id: item.label for item in dataset.items}

    def ask(self, question: Question) -> str:
        """Return the true label; "=" marks it as a class name, not a number or a command."""
        return f"={self._label[question.path]}"

    def tell(self, text: str) -> None:
        """Ignore messages."""


def main() -> None:
    """Ask for labels and train, round by round."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(
        arguments.dataset,
        source=arguments.source,
        download=arguments.download,
        directory=workspace.downloads,
    )
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)
    arguments.output.mkdir(parents=True, exist_ok=True)
    person: Person
    if arguments.simulate:
        log, who, person = arguments.output / "simulated.sqlite", "simulated", TrueLabels(dataset)
    else:
        log, who = workspace.labels, getpass.getuser()
        person = Terminal(environment=os.environ, copy=arguments.output / "asked")
    with LabelLog(log) as opened:
        session = LabellingSession(
            embeddings,
            opened,
            strategy="least_confidence",
            initial="coreset",
            head=arguments.head,
            seed=arguments.seed,
            who=who,
        )
        for name in dataset.class_names:
            if name not in session.classes():
                session.add_class(name)
        annotation = Annotation(
            session,
            person,
            arguments.output / f"plan-{who}.json",
            batch_size=arguments.batch_size,
            rounds=arguments.rounds,
            initial_size=arguments.initial_size,
        )
        started = time.monotonic()
        for each in annotation.run():
            test = "" if each.model is None else f", {on_test_images(embeddings, each.model)}"
            print(f"{each}{test}, {time.monotonic() - started:.1f} s", flush=True)
        finish(session, arguments.output)


def on_test_images(embeddings: ep.Embeddings, model: Model) -> str:
    """Return the accuracy of a model on the test images."""
    test = embeddings.rows("test")
    predicted = [model.classes[code] for code in model.codes[test]]
    correct = [
        embeddings.items[row].label == label for row, label in zip(test, predicted, strict=True)
    ]
    return f"{np.mean(correct):.3f} on the {len(test)} test images"


def finish(session: LabellingSession, output: Path) -> None:
    """Train on all labels, and write the labels and the model."""
    labels = session.labels()
    if len(set(labels.values())) < 2:
        print(f"{len(labels)} labels: too few to train a model; run the script again to continue")
        return
    write_table({"path": list(labels), "label": list(labels.values())}, output / "labels.csv")
    ep.train(session.embeddings, labels, head=session.head, output=output / "head.safetensors")
    print(f"{len(labels)} labels: {output / 'labels.csv'}\nmodel: {output / 'head.safetensors'}")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "dataset", nargs="?", default="cifar10", help="cifar10 or any other dataset"
    )
    parser.add_argument("--source", help="folder or archive with the images")
    parser.add_argument("--download", action="store_true", help="download the images")
    parser.add_argument("--batch-size", type=int, default=10, help="images per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--initial-size", type=int, default=20, help="images in the first round")
    parser.add_argument("--simulate", action="store_true", help="answer with the true labels")
    parser.add_argument("--head", default="logistic")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path, help="folder of the cache and the label log")
    parser.add_argument("--output", type=Path, default=Path("annotate-cifar10"))
    hidden = {"type": int, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}  # old names
    parser.add_argument("--least-confident-instances", dest="batch_size", **hidden)
    parser.add_argument("--num-annotation-rounds", dest="rounds", **hidden)
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
