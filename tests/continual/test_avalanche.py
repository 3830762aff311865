"""Streams go to Avalanche and back; run where Avalanche is installed, by `make consumers`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from embedpipe.continual import ContinualLoop, Stream
from embedpipe.datasets.sequence_source import SequenceSource
from embedpipe.embedding import Embeddings
from embedpipe.errors import DatasetError, LabelError, UsageError
from tests.docs.pages import DOCS, blocks

pytestmark = pytest.mark.filterwarnings("default")  # the warnings of Avalanche are not tested here


@pytest.fixture(scope="module")
def benchmarks() -> Any:
    """The module `avalanche.benchmarks`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("avalanche.benchmarks", reason="Avalanche is not installed")


class Items:
    """A dataset in the style of PyTorch."""

    def __init__(self, items: Any, targets: Any) -> None:
        self.items, self.targets = items, [int(each) for each in targets]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        return self.items[position], self.targets[position]


def vectors(n: int, targets: Any, seed: int = 0) -> Items:
    import torch

    return Items(torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 3))).float(), targets)


def content(stream: Stream) -> list[tuple[Any, ...]]:
    """Return the name, vectors and labels of each experience, in order."""
    return [
        (
            each.name,
            *(stream.matrix[rows].tolist() for rows in (each.train, each.test)),
            *(stream.labels(rows).tolist() for rows in (each.train, each.test)),
        )
        for each in stream.experiences
    ]


def items_of(benchmark: Any, name: str) -> list[list[tuple[list[float], int]]]:
    """Return the vectors and targets of each experience, in order."""
    return [
        [(each[0].tolist(), int(each[1])) for each in experience.dataset.eval()]
        for experience in benchmark.streams[name]
    ]


@pytest.mark.parametrize("protocol", ["iid", "streaming"])
def test_a_stream_of_arrays_comes_back_with_the_same_digest(
    benchmarks: Any, drifting: Callable[..., Stream], protocol: str
) -> None:
    stream = drifting(protocol=protocol)
    back = Stream.from_avalanche(stream.to_avalanche(), name="drift")
    assert content(back) == content(stream)
    assert back.identity == stream.identity
    for one, other in zip(stream.experiences, back.experiences, strict=True):
        assert one.train.tolist() == other.train.tolist()
        assert one.test.tolist() == other.test.tolist()


def test_a_stream_of_images_comes_back(benchmarks: Any, digits: Embeddings) -> None:
    stream = Stream.of(digits, "classes", n=3, seed=1)
    assert content(Stream.from_avalanche(stream.to_avalanche())) == content(stream)
    few = Stream.of(digits, "classes", classes=[["3", "1"], ["0"]])  # other rows are left out
    back = Stream.from_avalanche(few.to_avalanche())
    assert content(back) == content(few)
    assert len(back.matrix) == sum(each.train.size + each.test.size for each in few.experiences)


@pytest.mark.parametrize(
    "kind", ["nc", "nc in order", "ni", "class incremental", "tensors", "one test set"]
)
def test_a_benchmark_comes_back(benchmarks: Any, kind: str) -> None:
    train, test = vectors(60, np.arange(60) * 7 % 6), vectors(24, np.arange(24) % 6, seed=1)
    if kind == "ni":
        made = benchmarks.ni_benchmark(train, test, n_experiences=4, seed=3)
    elif kind == "class incremental":
        given = {
            name: benchmarks.utils.as_classification_dataset(each)
            for name, each in (("train", train), ("test", test))
        }
        made = benchmarks.class_incremental_benchmark(given, num_experiences=2, seed=5)
    elif kind == "tensors":
        import torch

        parts = [(each.items, torch.tensor(each.targets)) for each in (train, test)]
        made = benchmarks.tensors_benchmark([parts[0]] * 2, [parts[1]] * 2, task_labels=[0, 0])
    else:
        made = benchmarks.nc_benchmark(
            train,
            test,
            n_experiences=3,
            task_labels=False,
            seed=11,
            fixed_class_order=[4, 2, 5, 0, 1, 3] if kind == "nc in order" else None,
            one_dataset_per_exp=False,
        )
        if kind == "one test set":
            only = [benchmarks.utils.as_classification_dataset(test)]
            learned = [each.dataset for each in made.train_stream]
            made = benchmarks.benchmark_from_datasets(train=learned, test=only)
    stream = Stream.from_avalanche(made)
    back = stream.to_avalanche()
    for name in ("train", "test"):
        assert items_of(back, name) == items_of(made, name)
    assert content(Stream.from_avalanche(back)) == content(stream)
    assert [each.name for each in stream.experiences] == [str(at) for at in range(len(stream))]
    if kind in ("ni", "one test set"):
        assert len(back.test_stream) == 1
        assert len({each.test.tobytes() for each in stream.experiences}) == 1
        assert len(stream.matrix) == 84  # the test set is stored once
    for one, other in zip(made.train_stream, back.train_stream, strict=True):
        assert set(one.dataset.targets) == set(other.classes_in_this_experience)


def test_labels_are_targets_if_they_are_integers(benchmarks: Any) -> None:
    stream = Stream.from_arrays(np.eye(6), [7, 2, 7, 2, 5, 5], [0, 0, 0, 0, 1, 1])
    made = stream.to_avalanche()
    assert made.n_classes == 8
    assert [each.classes_in_this_experience for each in made.train_stream] == [{2, 7}, {5}]
    assert Stream.from_avalanche(made).classes.tolist() == [2, 5, 7]
    negative = Stream.from_arrays(np.eye(4), [-1, 1, -1, 1], [0, 0, 1, 1], protocol="streaming")
    made = negative.to_avalanche()
    assert (made.n_classes, made.class_names) == (2, ["-1", "1"])


def test_names_and_rows_are_attributes(benchmarks: Any, digits: Embeddings) -> None:
    stream = Stream.of(digits, "classes", classes=[["3", "1"], ["0", "7"]])
    made = stream.to_avalanche()
    assert made.class_names == ["0", "1", "3", "7"]
    assert [each.name for each in (*made.train_stream, *made.test_stream)] == ["3, 1", "0, 7"] * 2
    assert [each.task_labels for each in made.train_stream] == [[0], [0]]
    assert [each.current_experience for each in made.train_stream] == [0, 1]
    later = made.train_stream[1]
    assert (later.previous_classes, later.future_classes) == ({1, 2}, set())
    assert list(later.dataset.stream_rows) == stream.experiences[1].train.tolist()
    split = benchmarks.benchmark_with_validation_stream(made, validation_size=0.25, seed=0)
    valid = Stream.from_avalanche(split, test="valid", class_names=made.class_names)
    assert valid.classes.tolist() == stream.classes.tolist()
    for whole, part in zip(stream.experiences, valid.experiences, strict=True):
        assert part.test.size == whole.train.size // 4
        assert part.train.size + part.test.size == whole.train.size
        used = np.concatenate([valid.matrix[part.train], valid.matrix[part.test]])
        expected = stream.matrix[whole.train]
        assert np.array_equal(np.sort(used, axis=0), np.sort(expected, axis=0))
    tasks = benchmarks.task_incremental_benchmark(made, reset_task_labels=True)
    with pytest.raises(UsageError) as caught:
        Stream.from_avalanche(tasks)
    assert str(caught.value) == (
        "the benchmark has 2 task labels, and a stream has none: make the benchmark without task "
        "labels, with distinct targets for all classes."
    )


def test_an_experience_may_have_no_test_rows(benchmarks: Any) -> None:
    splits = ["train", "test", "train", "train"]
    stream = Stream.from_arrays(np.eye(4), ["a", "a", "b", "c"], [0, 0, 1, 1], splits)
    assert [each.test.size for each in stream.experiences] == [1, 0]
    assert content(Stream.from_avalanche(stream.to_avalanche())) == content(stream)


def test_a_strategy_of_avalanche_learns_the_stream(
    benchmarks: Any, drifting: Callable[..., Stream], tmp_path: Path
) -> None:
    import torch
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import Naive, Replay

    stream = drifting()
    made = stream.to_avalanche()
    for kind, options in ((Naive, {}), (Replay, {"mem_size": 30})):
        torch.manual_seed(0)
        model = torch.nn.Linear(stream.matrix.shape[1], made.n_classes)
        strategy = kind(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            criterion=torch.nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=3,
            evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
            **options,
        )
        for experience in made.train_stream:
            strategy.train(experience)
        results = strategy.eval(made.test_stream)
        head = model.weight.detach().numpy(), model.bias.detach().numpy()
        for number, each in enumerate(stream.experiences):
            predicted = (stream.matrix[each.test] @ head[0].T + head[1]).argmax(axis=1)
            key = f"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{number:03d}"
            assert results[key] == pytest.approx(np.mean(predicted == stream.codes[each.test]))
        assert results[key] > 0.5
    kept = list(strategy.plugins[0].storage_policy.buffer.stream_rows)
    every = np.concatenate([each.train for each in stream.experiences])
    assert len(kept) == 30
    assert np.isin(kept, every).all()
    assert len(np.unique(kept)) == 30


def test_a_loop_learns_a_benchmark(benchmarks: Any) -> None:
    import torch

    train, test = vectors(60, np.arange(60) % 3), vectors(24, np.arange(24) % 3, seed=1)
    for one in (train, test):
        one.items += 9 * torch.eye(3)[one.targets]
    made = benchmarks.ni_benchmark(train, test, n_experiences=3, seed=0)
    loop = ContinualLoop(Stream.from_avalanche(made), retain=4).fit()
    assert loop.matrix.shape == (3, 3)
    assert (loop.matrix[-1] == loop.matrix[-1, 0]).all()  # one test set
    assert loop.matrix[-1, 0] > 0.9


def test_images_are_embedded(benchmarks: Any, digits: Embeddings, tmp_path: Path) -> None:
    from torchvision import transforms

    values, targets = load_digits(return_X_y=True)
    grey = np.rint(values.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    pictures = [Image.fromarray(each) for each in grey]
    augmented = transforms.Compose(
        [transforms.RandomRotation(90), transforms.ToTensor(), transforms.Normalize(0.5, 0.1)]
    )
    made = benchmarks.nc_benchmark(
        Items(pictures[:1400], targets[:1400]),
        Items(pictures[1400:], targets[1400:]),
        n_experiences=5,
        task_labels=False,
        seed=2,
        train_transform=augmented,
        eval_transform=augmented,
    )
    with pytest.raises(UsageError) as caught:
        Stream.from_avalanche(made)
    assert str(caught.value) == (
        "the items of the benchmark have shape (1, 8, 8): give a `backbone` that embeds images, "
        "such as 'efficientnet_lite0', or a benchmark of vectors."
    )
    names = [str(digit) for digit in range(10)]
    seen: list[tuple[str, int, int]] = []
    stream = Stream.from_avalanche(
        made,
        backbone="toy",
        workspace=tmp_path,
        class_names=names,
        progress=lambda *each: seen.append(each),
    )
    assert seen[-1][0] == "embed"
    assert seen[-1][1] == seen[-1][2]
    groups = [[str(code) for code in each.classes_in_this_experience] for each in made.train_stream]
    own = Stream.of(digits, "classes", classes=groups)
    for one, other, group in zip(stream.experiences, own.experiences, groups, strict=True):
        for rows, unordered in ((one.train, other.train), (one.test, other.test)):
            labels = own.labels(unordered)  # the benchmark has one class after the other
            own_rows = np.concatenate([unordered[labels == label] for label in group])
            assert np.array_equal(stream.matrix[rows], digits.matrix[own_rows])
            assert stream.labels(rows).tolist() == own.labels(own_rows).tolist()
    first = stream.experiences[0].train[0]
    assert stream.ids is not None
    assert stream.ids[first] == "train/0/0.ppm"
    again = Stream.from_avalanche(made, backbone="toy", workspace=tmp_path, class_names=names)
    assert again.digest == stream.digest


def test_the_examples_of_the_page_run(
    benchmarks: Any, bundled_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(bundled_workspace))
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "how-to" / "use-avalanche.md", "python"):
        if "SplitCIFAR10" not in block.source:  # needs a download
            exec(block.source, names)
    assert names["loop"].metrics["gem_accuracy"] > 0.8
    assert len(names["kept"]) == 200


def test_wrong_benchmarks_are_refused(benchmarks: Any) -> None:
    train, test = vectors(12, np.arange(12) % 3), vectors(6, np.arange(6) % 3)
    made = benchmarks.nc_benchmark(train, test, n_experiences=3, task_labels=False, seed=0)
    as_dataset = benchmarks.utils.as_classification_dataset
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (
            [train],
            {},
            UsageError,
            "the benchmark is of type list: give a benchmark of Avalanche (CLScenario).",
        ),
        (
            made,
            {"test": "valid"},
            UsageError,
            "the benchmark has no stream 'valid', only 'train', 'test': `test` names the stream of "
            "the test sets.",
        ),
        (
            benchmarks.benchmark_from_datasets(
                train=[as_dataset(train)] * 3, test=[as_dataset(test)] * 2
            ),
            {},
            UsageError,
            "the benchmark has 3 training experiences and 2 experiences in stream 'test': give a "
            "benchmark with one test set for each training experience, or one for all.",
        ),
        (
            benchmarks.benchmark_from_datasets(train=[as_dataset(train)], test=[as_dataset(test)]),
            {},
            UsageError,
            "a stream needs at least two experiences, but the benchmark has 1.",
        ),
        (
            made,
            {"class_names": ["a", "b"]},
            LabelError,
            "the benchmark has targets from 0 to 2, but there are 2 class names: give one name for "
            "each target from 0.",
        ),
    ]
    for benchmark, options, kind, message in cases:
        with pytest.raises(kind) as caught:
            Stream.from_avalanche(benchmark, **options)
        assert str(caught.value) == message


def test_images_that_are_no_images_are_refused() -> None:
    def bytes_of(image: Any) -> bytes:
        return SequenceSource("the benchmark", {"train/0": [(image, 3)]}).read_one("train/0/0.ppm")

    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert bytes_of(values / 255) == b"P6\n2 2\n255\n" + bytes(
        [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    )
    assert bytes_of(np.ones((1, 1, 2), dtype=np.float32)) == b"P5\n2 1\n255\n\xff\xff"
    with pytest.raises(DatasetError) as caught:
        bytes_of(values)
    assert str(caught.value) == (
        "image train/0/0.ppm of the benchmark has values from 0 to 11: give 8-bit images, or "
        "values from 0 to 1 that are not normalised."
    )
    with pytest.raises(DatasetError) as caught:
        bytes_of(values[:2])
    assert str(caught.value) == (
        "image train/0/0.ppm of the benchmark has shape (2, 2, 2): give images of PIL, or tensors "
        "of shape (height, width), (1, height, width) or (3, height, width)."
    )


def test_the_message_without_avalanche(
    drifting: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "avalanche.benchmarks", None)
    with pytest.raises(UsageError) as caught:
        drifting().to_avalanche()
    assert str(caught.value) == (
        "Avalanche 0.6 or later is not installed: `pip install 'embedpipe[avalanche]'`."
    )
