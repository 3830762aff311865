"""Streams as benchmarks of Avalanche, and benchmarks as streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import check_finite, plain_labels
from ..datasets import Dataset, Item
from ..datasets.sequence_source import SequenceSource
from ..embedding import Embeddings
from ..errors import DatasetError, LabelError, UsageError

__all__ = ["ROWS", "StreamRows", "benchmark_of", "read_benchmark"]

ROWS = "stream_rows"
"""Data attribute of the datasets of a benchmark: the row numbers of the stream."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class StreamRows:
    """The part of a stream that a benchmark contains; see `Stream`."""

    matrix: NDArray[np.float32]
    classes: NDArray[Any]
    codes: Rows
    experiences: Sequence[tuple[str, Rows, Rows]]
    """Name, training rows and test rows of each experience."""

    @property
    def targets(self) -> Rows:
        """The (K,) targets of the classes: the labels, or their positions."""
        if self.classes.dtype.kind in "iu" and self.classes.min() >= 0:
            return self.classes
        return np.arange(self.classes.size)


def benchmark_of(stream: StreamRows) -> Any:
    """Return the Avalanche benchmark of a stream; see `Stream.to_avalanche`."""
    try:
        from avalanche.benchmarks import (
            benchmark_from_datasets,
            with_classes_timeline,
            with_task_labels,
        )
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "avalanche":
            raise
        raise UsageError(
            "Avalanche 0.6 or later is not installed: `pip install 'embedpipe[avalanche]'`."
        ) from None
    tests = [test for _, _, test in stream.experiences]
    if all(np.array_equal(test, tests[0]) for test in tests):
        tests = tests[:1]
    plain = benchmark_from_datasets(
        train=[_dataset(stream, train) for _, train, _ in stream.experiences],
        test=[_dataset(stream, test) for test in tests],
    )
    benchmark = with_classes_timeline(with_task_labels(plain))
    benchmark.n_classes = int(stream.targets.max()) + 1
    if stream.targets is not stream.classes:
        benchmark.class_names = [str(label) for label in stream.classes.tolist()]
    for number, (name, _, _) in enumerate(stream.experiences):
        benchmark.train_stream[number].name = name
        if len(tests) > 1:
            benchmark.test_stream[number].name = name
    return benchmark


class VectorDataset:
    """Rows of a stream as a PyTorch dataset: pairs of a (d,) float32 tensor and an int target."""

    def __init__(self, matrix: NDArray[np.float32], rows: Rows, targets: Sequence[int]) -> None:
        self._matrix, self._rows, self._targets = matrix, rows, targets

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        import torch

        vector = np.array(self._matrix[self._rows[position]])  # a memory map is read-only
        return torch.from_numpy(vector), self._targets[position]


def _dataset(stream: StreamRows, rows: Rows) -> Any:
    """Return rows as a dataset of Avalanche with targets, task label 0 and row numbers."""
    from avalanche.benchmarks.utils import (
        DataAttribute,
        TaskAwareSupervisedClassificationDataset,
        TaskLabels,
    )

    targets = stream.targets[stream.codes[rows]].tolist()
    return TaskAwareSupervisedClassificationDataset(
        [VectorDataset(stream.matrix, rows, targets)],
        data_attributes=[
            DataAttribute(targets, "targets"),
            TaskLabels([0] * rows.size),
            DataAttribute(rows.tolist(), ROWS),
        ],
    )


def read_benchmark(
    benchmark: Any,
    *,
    test: str,
    class_names: Sequence[str] | None,
    embed_images: Callable[[Dataset], Embeddings] | None,
) -> tuple[StreamRows, list[bytes | memoryview], list[str] | None]:
    """Return the content of a benchmark, the parts of its digest, and the ids of images.

    See `Stream.from_avalanche`.
    """
    learned, tested = _experiences(benchmark, "train"), _experiences(benchmark, test)
    if len(learned) < 2:
        raise UsageError(
            f"a stream needs at least two experiences, but the benchmark has {len(learned)}."
        )
    if len(tested) not in (1, len(learned)):
        raise UsageError(
            f"the benchmark has {len(learned)} training experiences and {len(tested)} experiences "
            f"in stream {test!r}: give a benchmark with one test set for each training experience, "
            "or one for all."
        )
    datasets = [each.dataset for each in (*learned, *tested)]
    _check_task_labels(datasets)
    targets = [np.array([int(each) for each in one.targets], dtype=np.int64) for one in datasets]
    if embed_images is None:
        rows = _numbers(datasets, len(learned))
        matrix = _vectors(datasets, rows)
        identity: list[bytes | memoryview] = [matrix.data.cast("B")]
        ids: list[str] | None = None
    else:
        names = [f"train/{at}" for at in range(len(learned))]
        names += [f"{test}/{at}" for at in range(len(tested))]
        named = dict(zip(names, datasets, strict=True))
        embeddings, rows = _embedded(named, embed_images)
        matrix, ids = embeddings.matrix, [item.id for item in embeddings.items]
        identity = [embeddings.spec.id.encode(), *embeddings.content_ids]
    if class_names is None:
        class_names = getattr(benchmark, "class_names", None)
    classes, label_codes = _classes(np.concatenate(targets), class_names)
    codes = np.full(len(matrix), -1, dtype=np.int64)
    codes[np.concatenate(rows)] = label_codes
    count = len(learned)
    tests = rows[count:] if len(tested) == count else rows[count:] * count
    experiences = [
        (str(getattr(each, "name", number)), train, test_rows)
        for number, (each, train, test_rows) in enumerate(
            zip(learned, rows[:count], tests, strict=True)
        )
    ]
    return StreamRows(matrix, classes, codes, experiences), identity, ids


def _experiences(benchmark: Any, name: str) -> list[Any]:
    """Return the experiences of a stream of the benchmark; refuse other data than datasets."""
    streams = getattr(benchmark, "streams", None)
    if streams is None:
        raise UsageError(
            f"the benchmark is of type {type(benchmark).__name__}: give a benchmark of Avalanche "
            "(CLScenario)."
        )
    if name not in streams:
        raise UsageError(
            f"the benchmark has no stream {name!r}, only {', '.join(map(repr, streams))}: `test` "
            "names the stream of the test sets."
        )
    experiences = list(streams[name])
    for number, each in enumerate(experiences):
        if not hasattr(getattr(each, "dataset", None), "targets"):
            raise UsageError(
                f"experience {number} of stream {name!r} has no dataset with targets: give a "
                "benchmark for classification."
            )
    return experiences


def _check_task_labels(datasets: Sequence[Any]) -> None:
    found: set[int] = set()
    for each in datasets:
        found |= set(getattr(getattr(each, "targets_task_labels", None), "uniques", ()))
    if len(found) > 1:
        raise UsageError(
            f"the benchmark has {len(found)} task labels, and a stream has none: make the "
            "benchmark without task labels, with distinct targets for all classes."
        )


def _numbers(datasets: Sequence[Any], n_learned: int) -> list[Rows]:
    """Return the row of each item: the order of the original rows if known, else of the items."""
    if all(hasattr(each, ROWS) for each in datasets):
        original = [np.array(list(getattr(each, ROWS)), dtype=np.int64) for each in datasets]
        learned = np.concatenate(original[:n_learned])
        if np.unique(learned).size == learned.size:
            _, numbers = np.unique(np.concatenate(original), return_inverse=True)
            return np.split(numbers, np.cumsum([each.size for each in original])[:-1])
    ends = np.cumsum([len(each) for each in datasets])
    return np.split(np.arange(ends[-1]), ends[:-1])


def _vectors(datasets: Sequence[Any], rows: Sequence[Rows]) -> NDArray[np.float32]:
    """Return the (n, d) vectors of all items, with the transformations of evaluation."""
    n = 1 + max(int(each.max(initial=-1)) for each in rows)
    matrix: NDArray[np.float32] | None = None
    for dataset, numbers in zip(datasets, rows, strict=True):
        plain = dataset.eval()
        for position, row in enumerate(numbers.tolist()):
            vector = np.asarray(plain[position][0], dtype=np.float32)
            if vector.ndim != 1:
                raise UsageError(
                    f"the items of the benchmark have shape {vector.shape}: give a `backbone` "
                    "that embeds images, such as 'efficientnet_lite0', or a benchmark of vectors."
                )
            if matrix is None:
                matrix = np.full((n, vector.size), np.nan, dtype=np.float32)
            if not np.isnan(matrix[row, 0]) and not np.array_equal(matrix[row], vector):
                raise UsageError(
                    "two items of the benchmark have the same stream_rows and different vectors: "
                    "make one stream of all items, and a benchmark from it."
                )
            matrix[row] = vector
    if matrix is None:
        raise UsageError("the benchmark has no items: give at least one for each experience.")
    check_finite(matrix, np.arange(n), "the benchmark")
    return matrix


def _classes(targets: Rows, names: Sequence[str] | None) -> tuple[NDArray[Any], Rows]:
    """Return the sorted labels, and the position of each item's label among them."""
    labels: Any = targets
    if names is not None:
        if int(targets.max()) >= len(names) or int(targets.min()) < 0:
            raise LabelError(
                f"the benchmark has targets from {targets.min()} to {targets.max()}, but there are "
                f"{len(names)} class names: give one name for each target from 0."
            )
        labels = np.asarray(list(names), dtype=object)[targets]
    classes, codes = np.unique(plain_labels(labels, "targets"), return_inverse=True)
    return classes, codes


def _embedded(
    datasets: Mapping[str, Any], embed_images: Callable[[Dataset], Embeddings]
) -> tuple[Embeddings, list[Rows]]:
    """Return the embeddings of images, and the row of each image."""
    # Without transformations: augmentation is random, and the backbone scales images itself.
    plain = {name: each.remove_current_transform_group() for name, each in datasets.items()}
    source = SequenceSource("the benchmark", plain)
    ids = {name: source.ids(name) for name in datasets}
    items = sorted(item_id for each in ids.values() for item_id in each)
    dataset = Dataset("benchmark", tuple(map(Item, items)), source, listed=True)
    embeddings = embed_images(dataset)
    if embeddings.failures:
        raise DatasetError(
            f"{len(embeddings.failures)} images of the benchmark cannot be embedded, for example: "
            f"{embeddings.failures[0].message}"
        )
    row_of = {item.id: row for row, item in enumerate(embeddings.items)}
    return embeddings, [
        np.array([row_of[one] for one in each], dtype=np.int64) for each in ids.values()
    ]
