"""A model from a folder that `export-model` wrote."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._threads import available_cpus
from ..backbones import Preprocess, digest_of_file
from ..backbones.runtimes import no_telemetry
from ..errors import BackboneError, DamagedFileError
from .model import Model
from .predict_script import RUNTIMES

__all__ = ["DESCRIPTION", "FORMAT", "VERSION", "ExportedModel", "preprocess_in", "runtime_module"]

DESCRIPTION = "model.json"
FORMAT, VERSION = "embedpipe-export", 1

EXTRAS = {"onnx": "onnx", "openvino": "openvino"}
"""The extra of embedpipe that installs the runtime of a format."""


class ExportedModel(Model):
    """A network from pixels to probabilities, run by ONNX Runtime, OpenVINO or TorchScript.

    Attributes
    ----------
    description
        The content of ``model.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.description = str(folder), _read(folder / DESCRIPTION)
        try:
            self.classes = np.array(self.description["classes"])
            self.preprocess = preprocess_in(self.description["preprocessing"])
            form, digests = str(self.description["runtime"]), dict(self.description["files"])
            runtime = RUNTIMES[form]
            digests[runtime.file]  # without a digest, the file would not be checked
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"{folder / DESCRIPTION} is invalid: {error!r}.") from None
        for name, digest in digests.items():
            path = folder / name
            if not path.is_file():
                raise DamagedFileError(f"{path} is missing. Copy the whole folder again.")
            if digest_of_file(path) != digest:
                raise DamagedFileError(
                    f"{path} was altered: its content does not match its digest in {DESCRIPTION}."
                )
        self._run = _OPEN[form](runtime_module(form), folder / runtime.file)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Model.probabilities`."""
        return np.asarray(self._run(np.ascontiguousarray(pixels)), np.float32)


def preprocess_in(part: dict[str, Any]) -> Preprocess:
    """Return the preprocessing of a spec."""
    names = [each.name for each in fields(Preprocess) if each.name in part]
    values: dict[str, Any] = {
        name: tuple(part[name]) if isinstance(part[name], list) else part[name] for name in names
    }
    return Preprocess(**values)


def runtime_module(form: str, package: str | None = None) -> ModuleType:
    """Import the package that runs models of a format, or another package for this format."""
    name = package or RUNTIMES[form].package
    try:
        with no_telemetry():
            return importlib.import_module(name)
    except ModuleNotFoundError:
        raise BackboneError(
            f"{name} is not installed: `pip install 'embedpipe[{EXTRAS[form]}]'`."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DamagedFileError(
            f"{path.parent} has no {DESCRIPTION}, so it is no folder of `embedpipe export-model`."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DamagedFileError(f"{path} is not a description by `embedpipe export-model`.")
    if found.get("version") != VERSION:
        raise DamagedFileError(
            f"{path} has version {found.get('version')}; this embedpipe reads version {VERSION}: "
            "update embedpipe."
        )
    return found


PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Devices of ONNX Runtime, in order of preference."""

Run = Callable[[NDArray[np.uint8]], Any]


def _open_onnx(onnxruntime: Any, path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    found = onnxruntime.get_available_providers()
    providers = [name for name in PROVIDERS if name in found]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def _open_openvino(openvino: Any, path: Path) -> Run:
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(available_cpus()),
        "ENABLE_CPU_PINNING": "NO",
    }
    compiled = openvino.Core().compile_model(path, "CPU", properties)
    return lambda pixels: compiled.create_infer_request().infer({0: pixels})[0]


def _open_torchscript(torch: Any, path: Path) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates TorchScript
        network = torch.jit.load(path).eval()

    def run(pixels: NDArray[np.uint8]) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(pixels)).numpy(force=True)

    return run


_OPEN: dict[str, Callable[[Any, Path], Run]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "torchscript": _open_torchscript,
}
