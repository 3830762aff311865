"""A backbone and a head as one torch network, and its export."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backbones import Preprocess
from ..backbones.runtimes import normalised, openvino_model
from ..heads import Layers
from .exported import runtime_module

if TYPE_CHECKING:
    import torch

__all__ = ["OPSET", "classifier", "writers"]

OPSET = 18
"""Version of the ONNX operators: ONNX Runtime 1.14 and later run it."""


def classifier(module: torch.nn.Module, preprocess: Preprocess, layers: Layers) -> torch.nn.Module:
    """Return a network from uint8 pixels, (b, height, width, 3), to (b, C) probabilities."""
    import torch

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.affine = torch.nn.ModuleList(map(_linear, layers.affine))

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            if layers.normalize:
                norms = rows.norm(dim=1, keepdim=True)  # (b, 1)
                rows = rows / torch.where(norms > 0, norms, torch.ones_like(norms))
            for place, affine in enumerate(self.affine):
                rows = affine(rows.relu() if place else rows)
            return (rows / layers.temperature).softmax(dim=1)

    return torch.nn.Sequential(normalised(module, preprocess), Head()).eval()


def _linear(affine: Any) -> torch.nn.Module:
    import torch

    weights = torch.tensor(np.asarray(affine.weights.T, np.float32))  # (o, i)
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(torch.tensor(np.asarray(affine.intercepts, np.float32)))
    return layer.requires_grad_(False)


def _write_onnx(network: torch.nn.Module, size: tuple[int, int], path: Path) -> None:
    import torch

    for name in ("onnx", "onnxscript"):
        runtime_module("onnx", name)
    example = torch.zeros(2, *size, 3, dtype=torch.uint8)
    with _quiet():
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _write_openvino(network: torch.nn.Module, size: tuple[int, int], path: Path) -> None:
    openvino = runtime_module("openvino")
    model = openvino_model(network, size)
    model.reshape({0: [-1, *size, 3]})
    model.inputs[0].get_tensor().set_names({"pixels"})
    model.outputs[0].get_tensor().set_names({"probabilities"})
    openvino.save_model(model, path, compress_to_fp16=False)


def _write_torchscript(network: torch.nn.Module, size: tuple[int, int], path: Path) -> None:
    import torch

    example = torch.zeros(2, *size, 3, dtype=torch.uint8)
    with _quiet(), torch.inference_mode():
        traced = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path)


writers: dict[str, Callable[[torch.nn.Module, tuple[int, int], Path], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torchscript": _write_torchscript,
}
"""Functions that write a network for pixels of a size, by format."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the remarks of the exporters."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
