"""Train a classifier for your own photos with 75 labels, and predict the other photos.

    python pipelines/webcam.py photos/ --classes cup key plant  # choose 30 photos by core-set
    python pipelines/webcam.py photos/ --labels export-1.json   # choose 45 more by CORAL
    python pipelines/webcam.py photos/ --labels export-2.json   # train and predict

Each step writes tasks for Label Studio and a labelling config. After the first labels, the tasks
contain predictions. Label the photos in Label Studio, export them as JSON, and give the export to
the next step. Labels from `embedpipe label` and `embedpipe annotate` count too, because they are in
the same label log. Run the script again at any time: it prints the next step.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path

import embedpipe as ep
from embedpipe.labelling import LabellingSession, Model
from embedpipe.labels import LabelLog, PathResolver, write_table
from embedpipe.labels.exchange import (
    Labelled,
    formats,
    labelling_config,
    local_files_url,
    new_events,
    serving_instructions,
)


def main() -> None:
    """Import labels, and do the next step."""
    arguments = parse()
    workspace = ep.Workspace(arguments.workspace)
    dataset = ep.load_dataset(arguments.photos)
    embeddings = ep.embed(dataset, backbone=arguments.backbone, workspace=workspace)
    for failure in embeddings.failures:
        print(f"could not {failure.stage} {failure.path}: {failure.error}", file=sys.stderr)
    with LabelLog(workspace.labels) as log:
        session = LabellingSession(
            embeddings,
            log,
            strategy="coral",
            initial="coreset",
            seed=arguments.seed,
            who=getpass.getuser(),
        )
        for name in arguments.classes:
            if name not in session.classes():
                session.add_class(name)
        if arguments.labels is not None:
            import_labels(session, arguments.labels, arguments.format)
        if not offer_photos(session, arguments):
            finish(session, arguments.output)


def offer_photos(session: LabellingSession, arguments: argparse.Namespace) -> bool:
    """Offer the photos of the current step for labelling; return whether any need a label."""
    steps = {"1-coreset": arguments.coreset, "2-coral": arguments.coreset + arguments.coral}
    for name, target in steps.items():
        labelled = {row for row, now in session.current().items() if now.kind != "clear"}
        if len(labelled) >= target:
            continue
        model = session.retrain() if name != "1-coreset" else None
        picks = picked(session, arguments.output / f"{name}.json", target - len(labelled), model)
        missing = [row for row in picks if row not in labelled]
        if missing:
            print(f"label {len(missing)} of {len(picks)} photos, in Label Studio or on the page")
            offer_tasks(session, arguments, arguments.output / name, picks, model)
            folder = session.log.path.parent
            print(PAGE.format(photos=arguments.photos, workspace=folder, count=len(missing)))
            return True
    return False


def offer_tasks(
    session: LabellingSession,
    arguments: argparse.Namespace,
    folder: Path,
    picks: list[int],
    model: Model | None,
) -> None:
    """Write the tasks once, and the labelling config with the current classes."""
    if not session.classes():
        print("Label Studio: run this script again with --classes and the class names.")
        return
    photos = Path(arguments.photos).resolve()
    if not folder.exists():
        url = arguments.image_url or local_files_url(photos)
        write_tasks(session, folder, picks, model, url)
    config = folder / "config.xml"
    config.write_text(labelling_config(session.classes()), encoding="utf-8")
    print(TASKS.format(config=config, tasks=folder / "tasks.json"))
    if arguments.image_url is None:
        print(serving_instructions(photos))


TASKS = """\
Label Studio: make a project with the labelling interface {config}, import {tasks}, label, export as
JSON, and run this script again with --labels EXPORT."""

PAGE = """\
The page: embedpipe label {photos} --workspace {workspace} --initial coreset --strategy coral
Label {count} photos on the page, and run this script again."""


def import_labels(session: LabellingSession, file: Path, form: str) -> None:
    """Import the labels of another program that are not in the log yet."""
    resolver = PathResolver.of(session.embeddings.dataset, classes=session.classes())
    answers = formats[form].read_for(file, resolver).items  # an unknown path is an error
    content = dict(zip(session.ids, session.embeddings.content_ids, strict=True))
    known = session.log.current_for(session.dataset, content)
    events = new_events(answers, session.dataset, content, known, who=session.who)
    session.log.append(events)
    print(f"{len(events)} labels imported from {file}")


def picked(session: LabellingSession, file: Path, size: int, model: Model | None) -> list[int]:
    """Return the rows to label in a step; they are chosen once and stored."""
    if not file.exists():
        paths = [proposal.path for proposal in session.propose(size, model)]
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(paths, ensure_ascii=False), encoding="utf-8")
        unfinished.replace(file)
    known = set(session.ids)
    paths = json.loads(file.read_text(encoding="utf-8"))
    return [session.row_of(path) for path in paths if path in known]


def write_tasks(
    session: LabellingSession, folder: Path, rows: list[int], model: Model | None, url: str
) -> None:
    """Write tasks for Label Studio, with predictions if there is a model."""
    items = []
    for row in rows:
        prediction = None if model is None else model.classes[model.codes[row]]
        score = None if model is None else float(model.confidence[row])
        name = None if model is None else model.name
        items.append(Labelled(session.ids[row], prediction=prediction, score=score, model=name))
    formats["label-studio"].write(folder, items, classes=session.classes(), image_url=url)


def finish(session: LabellingSession, output: Path) -> None:
    """Train a model on all labels, and write its predictions for the other photos."""
    labels = session.labels()
    model = session.retrain()
    head, table = output / "head.safetensors", output / "predictions.csv"
    ep.train(session.embeddings, labels, output=head)
    predicted = ep.predict(session.embeddings, head)
    rest = [row for row, path in enumerate(predicted.ids) if path not in labels]
    columns = {
        "path": [predicted.ids[row] for row in rest],
        "label": [str(predicted.labels[row]) for row in rest],
        "confidence": [float(predicted.probabilities[row].max()) for row in rest],
    }
    write_table(columns, table)
    known = ""
    if model is not None and model.accuracy is not None and model.interval is not None:
        low, high = model.interval
        known = f", accuracy {model.accuracy:.2f} ({low:.2f} to {high:.2f}) cross-validated on them"
    print(f"{head}: {len(labels)} labels of {len(set(labels.values()))} classes{known}")
    print(f"{table}: predictions for the other {len(rest)} photos")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", help="folder of the photos")
    parser.add_argument("--labels", type=Path, help="export of Label Studio")
    parser.add_argument(
        "--format", default="label-studio", help="format of --labels: see `embedpipe list formats`"
    )
    parser.add_argument("--classes", nargs="+", default=[], help="class names for Label Studio")
    parser.add_argument("--coreset", type=int, default=30, help="photos of the first step")
    parser.add_argument("--coral", type=int, default=45, help="photos of the second step")
    parser.add_argument(
        "--image-url",
        help="prefix of the images' addresses in Label Studio [default: local files]",
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path, help="folder of the cache and the label log")
    parser.add_argument("--output", type=Path, default=Path("webcam"))
    return parser.parse_args()


if __name__ == "__main__":
    ep.run_script(main)
