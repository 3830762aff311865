"""`export_model`: a trained model as a folder that runs without embedpipe."""

from __future__ import annotations

import contextlib
import json
import runpy
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._files import temporary_path
from .._specs import format_spec
from .._versions import versions
from ..backbones import Backbone, digest_of_file
from ..backbones.networks import NetworkBackbone
from ..datasets import Dataset
from ..errors import DatasetError, RunError, UnknownNameError, UsageError
from ..heads import Layers
from .exported import DESCRIPTION, FORMAT, VERSION, runtime_module
from .loading import open_trained
from .model import BATCH, ImagePredictions
from .network import OPSET, classifier, writers
from .predict_script import RUNTIMES, script_for
from .samples import dataset_samples, made_samples, write_samples
from .trained import TrainedModel

__all__ = ["TOLERANCE", "Export", "export_model"]

TOLERANCE = 1e-3
"""Maximum difference of a probability between an export and `Model.predict` in fp32."""


@dataclass(frozen=True)
class Export:
    """A folder that `export_model` wrote, and its comparison with the model.

    Attributes
    ----------
    output
        The folder.
    format
        ``"onnx"``, ``"openvino"`` or ``"torchscript"``.
    bytes
        Size of all files.
    precision
        Precision of the vectors of the training; the export is fp32.
    images
        Number of images on which the export was compared with the model.
    max_difference
        Largest difference of a probability; the classes are equal on all images.
    max_difference_in_precision, other_classes_in_precision
        Largest difference of a probability to the model in `precision`, and number of images with
        another class; None if `precision` is ``"fp32"``.
    """

    output: Path
    format: str
    bytes: int
    precision: str
    images: int
    max_difference: float
    max_difference_in_precision: float | None
    other_classes_in_precision: int | None


def export_model(
    model: str | Path,
    output: str | Path,
    *,
    format: str = "onnx",  # noqa: A002
    samples: Dataset | None = None,
    backbone: str | Backbone | None = None,
    weights: str | Path | None = None,
) -> Export:
    """Write a model as one folder that runs without embedpipe.

    The folder has the model file from pixels to probabilities, ``labels.txt``, ``model.json`` (the
    preprocessing, the classes, the spec, the digests of the files, the versions) and
    ``predict.py``, a script that needs the runtime of the format, NumPy and Pillow only. The input
    of the model are uint8 pixels, (n, height, width, 3), for any n.

    Before the folder gets its name, ``predict.py`` in it predicts sample images. Its classes must
    equal those of `Model.predict` on all samples, and its probabilities must differ by at most
    0.001.

    Parameters
    ----------
    model
        A file that `train` wrote.
    output
        The new folder.
    format
        ``"onnx"``, ``"openvino"`` or ``"torchscript"``.
    samples
        Dataset of sample images, of which up to 200 are used; by default 32 made images.
    backbone, weights
        See `load_model`.

    Raises
    ------
    UsageError
        If the head or the backbone cannot be exported, or `output` exists.
    BackboneError
        If a package of the format is missing.
    RunError
        If the export predicts other probabilities than the model; nothing is written.
    """
    if format not in RUNTIMES:
        raise UnknownNameError("format", format, RUNTIMES)
    output = Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"{output} exists and is not an empty folder: give another --output.")
    runtime_module(format)
    trained = open_trained(model, backbone=backbone, weights=weights, precision="fp32")
    layers, network = _layers_of(trained), _network_of(trained)
    contents = made_samples() if samples is None else dataset_samples(samples)
    if not contents:
        raise UsageError(f"{samples} has no image that can be read: give other samples.")
    with _new_folder(output) as folder:
        path = folder / RUNTIMES[format].file
        size = trained.preprocess.size
        writers[format](classifier(network.module, trained.preprocess, layers), size, path)
        labels = "".join(f"{' '.join(name.split())}\n" for name in trained.classes.tolist())
        (folder / "labels.txt").write_text(labels, encoding="utf-8")
        (folder / "predict.py").write_text(script_for(format), encoding="utf-8")
        description = _description(trained, format, folder)
        _write_description(folder, description)  # `predict.py` reads it
        compared = _compare(trained, folder, contents)
        _write_description(folder, {**description, "verified": compared._asdict()})
        n_bytes = sum(each.stat().st_size for each in folder.iterdir())
    return Export(output, format, n_bytes, trained.spec.precision, *compared)


def _layers_of(trained: TrainedModel) -> Layers:
    layers = getattr(trained.head, "layers", lambda: None)()
    if layers is None:
        raise UsageError(
            f"the head {format_spec(trained.head)!r} of {trained.name} cannot be exported: it is "
            "no sequence of affine layers. Train the model with another head, such as auto, "
            "logistic, ridge, nearest_mean, slda, mlp or sgd."
        )
    found: Layers = layers
    return found


def _network_of(trained: TrainedModel) -> NetworkBackbone:
    spec, backbone = trained.spec, trained.backbone
    if spec.preprocess.get("views", "none") != "none":
        raise UsageError(
            f"{trained.name} was trained with --views {spec.preprocess['views']}, which cannot be "
            "exported. Train the model without --views."
        )
    if not isinstance(backbone, NetworkBackbone):
        raise UsageError(
            f"the backbone {backbone.name!r} of {trained.name} cannot be exported: it is no torch "
            "network. Train the model with a timm, torchvision or bundled backbone."
        )
    return backbone


def _description(trained: TrainedModel, form: str, folder: Path) -> dict[str, Any]:
    """Return the content of ``model.json``, without the comparison."""
    height, width = trained.preprocess.size
    model_files = [path for path in folder.iterdir() if path.name != "predict.py"]
    return {
        "format": FORMAT,
        "version": VERSION,
        "runtime": form,
        "classes": trained.classes.tolist(),
        "input": {"name": "pixels", "dtype": "uint8", "shape": ["n", height, width, 3]},
        "output": {"name": "probabilities", "dtype": "float32", "shape": ["n", "classes"]},
        "preprocessing": trained.spec.preprocess,
        "backbone": trained.spec.backbone,
        "head": format_spec(trained.head),
        "spec_id": trained.spec.id,
        "precision": "fp32",
        "precision_of_training": trained.spec.precision,
        "opset": OPSET if form == "onnx" else None,
        "files": {path.name: digest_of_file(path) for path in sorted(model_files)},
        "versions": {**versions(), RUNTIMES[form].package: _version_of(form)},
    }


def _version_of(form: str) -> str:
    return str(runtime_module(form).__version__)


def _write_description(folder: Path, description: dict[str, Any]) -> None:
    text = json.dumps(description, indent=2, ensure_ascii=False)
    (folder / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")


class _Comparison(NamedTuple):
    """See `Export`."""

    images: int
    max_difference: float
    max_difference_in_precision: float | None
    other_classes_in_precision: int | None


def _compare(trained: TrainedModel, folder: Path, contents: Sequence[bytes]) -> _Comparison:
    """Compare ``predict.py`` of a folder with the model; raise an error if they differ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates TorchScript
        script = runpy.run_path(str(folder / "predict.py"))
    with tempfile.TemporaryDirectory() as place:
        paths = _readable(write_samples(Path(place), contents), script["pixels_of"], trained)
        expected = trained.predict(paths)
        parts = [script["predict"](paths[at : at + BATCH]) for at in range(0, len(paths), BATCH)]
        found = ImagePredictions(np.concatenate(parts), trained.classes)
        other, difference = _difference(found, expected)
        if other or not difference <= TOLERANCE:
            raise RunError(
                f"the export differs from the model on {len(paths)} sample images: {other} other "
                f"classes, and probabilities up to {difference:.2g} apart; the limit is "
                f"{TOLERANCE:g}. Nothing was written. Update torch and the runtime, or choose "
                "another --format."
            )
        if trained.spec.precision == "fp32":
            return _Comparison(len(paths), difference, None, None)
        as_trained = trained.in_precision(trained.spec.precision).predict(paths)
    other, lower = _difference(found, as_trained)
    return _Comparison(len(paths), difference, lower, other)


def _difference(found: ImagePredictions, expected: ImagePredictions) -> tuple[int, float]:
    """Return the number of other classes, and the largest difference of a probability."""
    other = int((found.labels != expected.labels).sum())
    return other, float(np.abs(found.probabilities - expected.probabilities).max())


def _readable(
    paths: Sequence[Path], pixels_of: Callable[[Path], object], trained: TrainedModel
) -> list[Path]:
    """Return the images that both the script and embedpipe can read."""
    kept = []
    for path in paths:
        with contextlib.suppress(DatasetError, ValueError, OSError):
            trained.decode(path.read_bytes())
            pixels_of(path)
            kept.append(path)
    if not kept:
        raise UsageError(
            f"none of the {len(paths)} sample images has 8 bits per channel and is readable: give "
            "other --samples, or leave them out."
        )
    return kept


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` at the end, unless there is an error."""
    temporary = temporary_path(path.absolute())
    try:
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
        yield temporary
        if path.exists():  # an empty folder
            path.rmdir()
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
