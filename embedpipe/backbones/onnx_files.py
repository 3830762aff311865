"""Backbones that are ONNX files."""

from __future__ import annotations

import functools
import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from .._threads import available_cpus
from ..errors import BackboneError, UnknownNameError, UsageError
from .backbone import Backbone, Encoder
from .networks import POOLINGS, check_pooling
from .preprocess import Preprocess, three
from .runtimes import (
    OpenVinoModel,
    cpu_name,
    no_telemetry,
    padded,
    resolve_runtime,
    streams_of,
)
from .weights import digest_of_file

__all__ = ["OnnxBackbone"]


@dataclass(frozen=True)
class _Description:
    """The content of the YAML file beside an ONNX file."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bicubic"
    output: str | None = None
    pooling: str | None = None
    prefix_tokens: int = 1


@dataclass(frozen=True)
class _Graph:
    """The input, the outputs and the other files of an ONNX graph."""

    input: str
    shape: tuple[int | None, ...]
    """Length of each axis of the input; None for any length."""
    outputs: Mapping[str, tuple[int | None, ...]]
    external: tuple[str, ...]
    """Names of the files with weights beside the graph."""


class OnnxBackbone(Backbone):
    """A network in an ONNX file, with the preprocessing in a YAML file beside it.

    Parameters
    ----------
    file
        The ONNX file; the YAML file has the same name with ``.yaml`` at its end.
    output
        Name of the output, instead of that in the YAML file or the first.
    image_size, pooling
        Instead of those in the YAML file.
    """

    library = "onnx"
    precisions = ("fp32",)

    def __init__(
        self,
        file: Path,
        output: str | None = None,
        *,
        image_size: int | None = None,
        pooling: str | None = None,
    ) -> None:
        self.file, self.image_size = file, image_size
        self._asked_output, self._asked_pooling = output, pooling
        self.name = f"onnx:{file}" + (f"@{output}" if output else "")

    @functools.cached_property
    def _description(self) -> _Description:
        return _read_description(self.file.with_name(f"{self.file.name}.yaml"))

    @functools.cached_property
    def graph(self) -> _Graph:
        """The description of the graph."""
        return _read_graph(self.file)

    @functools.cached_property
    def output(self) -> str:
        """The name of the output."""
        name = self._asked_output or self._description.output or next(iter(self.graph.outputs))
        if name not in self.graph.outputs:
            raise UnknownNameError(f"output of {self.file}", name, self.graph.outputs)
        return name

    @functools.cached_property
    def pooling(self) -> str:  # type: ignore[override]  # depends on the graph
        """The pooling of the output: "model" for an output with a vector for each image."""
        asked = self._asked_pooling or self._description.pooling
        axes = len(self.graph.outputs[self.output])
        choices = {2: ("model",), 3: POOLINGS, 4: ("mean",)}.get(axes)
        if choices is None:
            raise BackboneError(
                f"the output {self.output!r} of {self.file} has {axes} axes; expected (images, "
                "features), (images, tokens, features) or (images, channels, height, width)."
            )
        if asked is None and axes == 3:
            raise UsageError(
                f"the output {self.output!r} of {self.file} has a vector for each token: choose "
                "--pooling cls, mean or cls+mean."
            )
        if asked is not None:
            check_pooling(self.name, asked, choices)
        return asked or choices[0]

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the YAML file."""
        own = self.graph.shape[2:] if self._channels_first else self.graph.shape[1:3]
        described, side = self._description, self.image_size
        height, width = (side, side) if side is not None else described.size or own
        if height is None or width is None:
            raise UsageError(f"{self.file} takes images of any size: give --image-size.")
        if own[0] not in (None, height) or own[1] not in (None, width):
            raise UsageError(
                f"{self.file} takes images of {own[0]} x {own[1]} pixels only; got {height} x "
                f"{width}."
            )
        resize = described.resize or (height if height == width else (height, width))
        if side is not None and described.size is not None and isinstance(resize, int):
            resize = resize * side // described.size[0]
        smaller = (resize, resize) if isinstance(resize, int) else resize
        if smaller[0] < height or smaller[1] < width:
            raise UsageError(
                f"`resize` in '{self.file}.yaml' must be at least the input size, {height} x "
                f"{width} pixels; got {smaller[0]} x {smaller[1]}."
            )
        return Preprocess(
            size=(height, width),
            resize=resize,
            interpolation=described.interpolation,
            mean=described.mean,
            std=described.std,
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The lengths of the axes of an image of the input."""
        size = self.preprocess.size
        return (3, *size) if self._channels_first else (*size, 3)

    @functools.cached_property
    def _channels_first(self) -> bool:
        return self.graph.shape[1] == 3

    @functools.cached_property
    def weights_sha256(self) -> str:  # type: ignore[override]  # read from the file
        """The digest of the file; with external weights, of the digests of all files."""
        digests = [digest_of_file(self.file)]
        for name in self.graph.external:
            path = self.file.parent / name
            if not path.is_file():
                raise BackboneError(
                    f"{self.file} needs its weights in {str(path)!r}, and there is no such file: "
                    "copy it there."
                )
            digests.append(digest_of_file(path))
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    @functools.cached_property
    def dim(self) -> int:  # type: ignore[override]  # depends on the graph
        """The number of features."""
        encoder = self.open(precision="fp32", runtime="auto", batch_size=1)
        return int(encoder.encode(np.zeros((1, *self.preprocess.size, 3), np.uint8)).shape[1])

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec."""
        pooling = self.pooling
        if "mean" in pooling and len(self.graph.outputs[self.output]) == 3:
            pooling += f" of tokens from {self._description.prefix_tokens}"
        return {
            "library": self.library,
            "architecture": f"output {self.output}",
            "pooling": pooling,
            "weights_sha256": self.weights_sha256,  # before the network is loaded for `dim`
            "dim": self.dim,
        }

    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """See `Backbone.open`."""
        if runtime == "auto":
            runtime = "openvino" if resolve_runtime("auto") == "openvino" else "onnxruntime"
        if runtime not in ("onnxruntime", "openvino"):
            raise UsageError(
                f"--runtime {runtime} cannot run {self.name!r}: use onnxruntime or openvino."
            )
        return _OnnxEncoder(self, runtime, batch_size)

    def normalised(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the input for a batch of pixels."""
        mean, std = (
            np.array(each, np.float32) for each in (self._description.mean, self._description.std)
        )
        images = (pixels.astype(np.float32) / 255 - mean) / std  # (b, h, w, 3)
        return np.ascontiguousarray(
            images.transpose(0, 3, 1, 2) if self._channels_first else images
        )

    def pool(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors of an output."""
        if features.ndim == 2:
            return features
        if features.ndim == 4:
            return np.asarray(features.mean(axis=(2, 3)), np.float32)  # (b, c)
        parts = []
        if self.pooling != "mean":
            parts.append(features[:, 0])
        if self.pooling != "cls":
            parts.append(features[:, self._description.prefix_tokens :].mean(axis=1))
        return np.concatenate(parts, axis=1)  # (b, d) or (b, 2 d)


class _OnnxEncoder:
    """Encoder of an ONNX file, by ONNX Runtime or OpenVINO."""

    def __init__(self, backbone: OnnxBackbone, runtime: str, batch_size: int) -> None:
        self._backbone = backbone
        self._batch_size = backbone.graph.shape[0] or batch_size
        self.streams = streams_of(batch_size)
        opened = _openvino if runtime == "openvino" else _onnxruntime
        self._run, self.provenance = opened(backbone, self._batch_size, self.streams)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `Encoder.encode`."""
        vectors = []
        for start in range(0, len(pixels), self._batch_size):
            part = pixels[start : start + self._batch_size]
            images = self._backbone.normalised(padded(part, self._batch_size))
            vectors.append(self._backbone.pool(self._run(images)[: len(part)]).copy())
        return np.concatenate(vectors)


_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Function that returns an output for a batch of the input."""


def _openvino(backbone: OnnxBackbone, batch: int, streams: int) -> tuple[_Run, dict[str, str]]:
    with no_telemetry():
        import openvino

    model = openvino.Core().read_model(backbone.file)
    model.reshape({0: [batch, *backbone.input_shape]})
    compiled = OpenVinoModel(model, "fp32", streams)
    return partial(compiled, output=backbone.output), compiled.provenance


def _onnxruntime(backbone: OnnxBackbone, batch: int, streams: int) -> tuple[_Run, dict[str, str]]:
    runtime = _library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1 if streams > 1 else available_cpus()
    session = runtime.InferenceSession(
        str(backbone.file), options, providers=["CPUExecutionProvider"]
    )

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (features,) = session.run([backbone.output], {backbone.graph.input: images})
        return np.asarray(features, np.float32)

    return run, {"runtime": f"onnxruntime {runtime.__version__}", "device": cpu_name()}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise BackboneError(f"{name} is not installed: `pip install 'embedpipe[onnx]'`.") from None


def _read_graph(file: Path) -> _Graph:
    onnx = _library("onnx")
    if not file.is_file():
        raise BackboneError(f"no file {str(file)!r}: give the path of an ONNX file.")
    try:
        model = onnx.load(str(file), load_external_data=False)
        graph = onnx.shape_inference.infer_shapes(model).graph
    # protobuf and onnx raise many kinds of exceptions for other files.
    except Exception as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        raise BackboneError(f"{file} is not an ONNX file: {reason}") from error
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    shape = _shape(inputs[0]) if len(inputs) == 1 else ()
    is_float = bool(inputs) and inputs[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    if len(shape) != 4 or not is_float or 3 not in (shape[1], shape[3]):
        raise BackboneError(
            f"{file} has the inputs {', '.join(each.name for each in inputs) or 'none'}; expected "
            "one of float32 images, (images, 3, height, width) or (images, height, width, 3)."
        )
    external = {
        entry.value
        for tensor in graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    outputs = {each.name: _shape(each) for each in graph.output}
    return _Graph(inputs[0].name, shape, outputs, tuple(sorted(external)))


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(axis.dim_value or None for axis in value.type.tensor_type.shape.dim)


def _read_description(path: Path) -> _Description:
    """Read a YAML file; check its keys and values."""
    if not path.is_file():
        raise UsageError(
            f"no preprocessing for {str(path.with_suffix(''))!r}: write {path.name!r} beside it, "
            "with the lines `mean: [0.485, 0.456, 0.406]` and `std: [0.229, 0.224, 0.225]` or the "
            "values of your network."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise UsageError(f"{str(path)!r} is not valid YAML: {place}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{str(path)!r} must have one `name: value` per line.")
    for key in content:
        if key not in _READERS:
            raise UnknownNameError(f"key in {str(path)!r}", str(key), _READERS)
    missing = [key for key in ("mean", "std") if key not in content]
    if missing:
        raise UsageError(
            f"{str(path)!r} lacks `{missing[0]}`: give three numbers, one per channel."
        )
    values = {}
    for key, value in content.items():
        expected, read = _READERS[key]
        try:
            values[key] = read(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"`{key}` in {str(path)!r} must be {expected}; got {value!r}."
            ) from None
    return _Description(**values)


def _pixels(value: Any) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    if not all(isinstance(each, int) and each > 0 for each in (height, width)):
        raise ValueError
    return height, width


def _side_or_pixels(value: Any) -> int | tuple[int, int]:
    return _pixels(value)[0] if isinstance(value, int) else _pixels(value)


def _deviations(value: Any) -> tuple[float, float, float]:
    deviations = three(value)
    if not all(each > 0 for each in deviations):
        raise ValueError
    return deviations


def _text(value: Any, choices: Sequence[str] = ()) -> str:
    if not isinstance(value, str) or (choices and value not in choices):
        raise ValueError
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError
    return value


_INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")

_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "mean": ("three numbers", three),
    "std": ("three positive numbers", _deviations),
    "size": ("a number of pixels, or height and width", _pixels),
    "resize": ("a number of pixels, or height and width", _side_or_pixels),
    "interpolation": (" or ".join(_INTERPOLATIONS), partial(_text, choices=_INTERPOLATIONS)),
    "output": ("the name of an output", _text),
    "pooling": (" or ".join(POOLINGS), partial(_text, choices=POOLINGS)),
    "prefix_tokens": ("a number of tokens", _count),
}
"""The expected value and its reader, by the key of the YAML file."""
