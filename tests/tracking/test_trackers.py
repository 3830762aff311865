"""All trackers, read with their own tools."""

import json
import os
import subprocess
import sys
import time

import pytest

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.tracking import Tracker, get_tracker, trackers

CONFIG = {"strategy": "margin", "seed": 3, "head": {"class": "LogisticHead"}}
ROUNDS = [({"accuracy": 0.5, "labelled": 20.0}, 20), ({"accuracy": 0.625, "labelled": 40.0}, 40)]


def read_tensorboard(folder, run_id):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / run_id)).Reload()
    curves = {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }
    text = events.Tensors("config/text_summary")[-1].tensor_proto.string_val[0].decode()
    return curves, json.loads(text.removeprefix("```json").removesuffix("```"))


def read_mlflow(folder, run_id):
    client = get_tracker("mlflow", folder)._client
    experiment = client.get_experiment_by_name("embedpipe").experiment_id
    (run,) = [r for r in client.search_runs([experiment]) if r.info.run_name == run_id]
    assert run.info.status == "FINISHED"
    curves = {
        name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    parameters = run.data.params
    return curves, {
        "strategy": parameters["strategy"],
        "seed": json.loads(parameters["seed"]),
        "head": json.loads(parameters["head"]),
    }


def wandb_records(data):
    """Yield the records of a ``.wandb`` file: a LevelDB log of blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    at, whole = 7, b""  # after the file's header
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def ended_wandb_records(path):
    """Return the records with the last one: the service writes after the end of a run."""
    for _ in range(900):
        records = list(wandb_records(path.read_bytes()))
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{path} has no end after 90 seconds")


def read_wandb(folder, run_id):
    path = max(folder.glob(f"wandb/offline-run-*/run-{run_id}.wandb"))
    curves, config = {}, {}
    for record in ended_wandb_records(path):
        for entry in record.run.config.update:
            config[entry.key] = json.loads(entry.value_json)
        if record.WhichOneof("record_type") == "history":
            items = {
                item.key or item.nested_key[0]: json.loads(item.value_json)
                for item in record.history.item
            }
            for name in ("accuracy", "labelled"):
                curves.setdefault(name, []).append((items["_step"], items[name]))
    return curves, {key: config[key] for key in CONFIG}


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb}


@pytest.fixture(params=list(trackers))
def name(request):
    if request.param == "wandb":
        pytest.importorskip("wandb", reason="Weights & Biases is not installed")
    return request.param


# Their dependencies raise deprecation warnings.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_logged_runs_can_be_read_with_the_own_tools(name, tmp_path):
    with get_tracker(name, tmp_path) as tracker:
        for metrics, step in ROUNDS:
            tracker.follow("first", CONFIG, metrics, step)
        tracker.follow("second", CONFIG, *ROUNDS[0])
    curves, config = READERS[name](tmp_path, "first")
    assert curves["accuracy"] == [(20, 0.5), (40, 0.625)]
    assert curves["labelled"] == [(20, 20.0), (40, 40.0)]
    assert config == CONFIG
    assert READERS[name](tmp_path, "second")[0]["accuracy"] == [(20, 0.5)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_continued_run_has_each_round_once(name, tmp_path):
    with get_tracker(name, tmp_path) as tracker:
        tracker.follow("first", CONFIG, *ROUNDS[0])
    with get_tracker(name, tmp_path) as tracker:  # a resumed run logs its stored rounds again
        for metrics, step in ROUNDS:
            tracker.follow("first", CONFIG, metrics, step)
    assert READERS[name](tmp_path, "first")[0]["accuracy"] == [(20, 0.5), (40, 0.625)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_run_continued_within_a_second_has_each_round_once(tmp_path, monkeypatch):
    files = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    # TensorBoard sorts the files of one second as text: 10 comes before 9.
    monkeypatch.setattr(files, "_global_uid", files.AtomicCounter(9))
    test_a_continued_run_has_each_round_once("tensorboard", tmp_path)


class Recorder(Tracker):
    """Records its calls."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def start(self, run_id, config):
        self.calls.append(("start", run_id, config["seed"]))

    def log(self, metrics, step):
        self.calls.append((step, metrics))

    def finish(self):
        self.calls.append("finish")


def test_a_run_is_closed_when_another_begins_and_at_the_end():
    tracker = Recorder()
    with tracker:
        tracker.follow("a", {"seed": 0}, {"x": 1.0}, 5)
        tracker.follow("a", {"seed": 0}, {"x": 2.0}, 6)
        tracker.follow("b", {"seed": 1}, {"x": 3.0}, 5)
    tracker.close()
    assert tracker.calls == [
        ("start", "a", 0),
        (5, {"x": 1.0}),
        (6, {"x": 2.0}),
        "finish",
        ("start", "b", 1),
        (5, {"x": 3.0}),
        "finish",
    ]


def test_unknown_names_raise_an_error():
    with pytest.raises(UnknownNameError) as error:
        get_tracker("tensorbord")
    assert str(error.value) == (
        "unknown tracker 'tensorbord'. Did you mean 'tensorboard'? "
        "Known: mlflow, tensorboard, wandb."
    )


MISSING = {
    "tensorboard": (
        "torch.utils.tensorboard",
        "TensorBoard is not installed: `pip install 'embedpipe[tensorboard]'`.",
    ),
    "mlflow": ("mlflow.tracking", "MLflow is not installed: `pip install 'embedpipe[mlflow]'`."),
    "wandb": ("wandb", "Weights & Biases is not installed: `pip install 'embedpipe[wandb]'`."),
}


@pytest.mark.parametrize("which", list(MISSING))
def test_a_missing_package_is_an_error_with_the_install_command(which, tmp_path):
    module, message = MISSING[which]
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from embedpipe.errors import UsageError\n"
        "from embedpipe.tracking import get_tracker\n"
        f"try: get_tracker({which!r}, {str(tmp_path)!r})\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == message


def test_importing_the_trackers_loads_none_of_them():
    script = (
        "import sys, embedpipe.tracking\n"
        "print([m for m in ('torch', 'tensorboard', 'mlflow', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["a?b", "50%20", "100%"])
def test_mlflow_raises_an_error_for_a_path_with_special_characters(name, tmp_path):
    pytest.importorskip("mlflow", reason="needs MLflow")
    with pytest.raises(UsageError, match=r"its path must not contain \? or %"):
        get_tracker("mlflow", tmp_path / name)
    assert list(tmp_path.iterdir()) == []
