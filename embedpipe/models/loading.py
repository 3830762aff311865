"""`load_model`: a model from a file of `train` or a folder of `export-model`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .._options import EmbedOptions
from ..backbones import Backbone
from .exported import ExportedModel
from .model import Model
from .model_file import ModelFile
from .trained import TrainedModel

__all__ = ["load_model", "open_trained"]


def load_model(
    path: str | Path,
    *,
    backbone: str | Backbone | None = None,
    weights: str | Path | None = None,
    runtime: str = "auto",
) -> Model:
    """Return the model of a file that `train` wrote, or of a folder that `export-model` wrote.

    Parameters
    ----------
    path
        A model file or an exported folder.
    backbone
        The backbone, if it is an object, or if the model file is from embedpipe 0.1 and the
        backbone is not the default one. By default it is the backbone of the model file.
    weights
        The weights of the backbone, if their file was moved after the training.
    runtime
        Runtime of the backbone of a model file: ``"auto"``, ``"torch"``, ``"torch-compile"`` or
        ``"openvino"``.

    Raises
    ------
    UsageError
        If there is no model at `path`, or the backbone is not the one of the training.
    DamagedFileError
        If the file is not a model, was truncated or altered, or has a newer version.
    BackboneError
        If the weights of the backbone are missing or altered.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> labels = {item.id: item.label for item in digits.items[:200]}
    >>> head, accuracy = ep.train(embeddings, labels, output=tmp / "digits.safetensors")
    >>> model = load_model(tmp / "digits.safetensors")
    >>> found = model.predict(digits.source.read_one(digits.items[0].id))
    >>> found.label == digits.items[0].label, len(found.classes)
    (True, 10)
    """
    if Path(path).is_dir():
        return ExportedModel(Path(path))
    return open_trained(path, backbone=backbone, weights=weights, runtime=runtime)


def open_trained(
    path: str | Path,
    *,
    backbone: str | Backbone | None = None,
    weights: str | Path | None = None,
    runtime: str = "auto",
    precision: str | None = None,
) -> TrainedModel:
    """Return the model of a file that `train` wrote; see `load_model` and `TrainedModel`."""
    options, given = EmbedOptions(runtime=runtime), []
    if backbone is not None:
        options, given = replace(options, backbone=backbone), ["backbone"]
    if weights is not None:
        options, given = replace(options, weights=weights), [*given, "weights"]
    return TrainedModel(ModelFile.read(path), options, given, precision=precision)
