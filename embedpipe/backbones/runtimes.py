"""The runtimes that execute a network: torch anywhere, OpenVINO on x86 CPUs."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackboneError, UsageError
from .backbone import Encoder
from .preprocess import Preprocess

if TYPE_CHECKING:
    import torch

__all__ = ["PRECISIONS", "RUNTIMES", "open_encoder", "resolve_precision", "resolve_runtime"]

PRECISIONS = ("auto", "fp32", "bf16")
RUNTIMES = ("auto", "torch", "openvino")


def resolve_precision(precision: str) -> str:
    """Return ``"fp32"`` or ``"bf16"``; ``"auto"`` is bf16 if the hardware supports it."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: use auto, fp32 or bf16.")
    if precision != "auto":
        return precision
    return "bf16" if _cpu_has_bf16() or _gpu_has_bf16() else "fp32"


def resolve_runtime(runtime: str) -> str:
    """Return ``"torch"`` or ``"openvino"``; ``"auto"`` is the fastest on this machine."""
    import torch

    installed = importlib.util.find_spec("openvino") is not None
    if runtime == "openvino" and not installed:
        raise BackboneError("OpenVINO is not installed: `pip install 'embedpipe[openvino]'`.")
    if runtime != "auto":
        return runtime
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if installed and x86 and not torch.cuda.is_available() else "torch"


def _cpu_has_bf16() -> bool:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return False
    flags = information.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _gpu_has_bf16() -> bool:
    if not Path("/proc/driver/nvidia").exists():
        return False
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def open_encoder(
    module: torch.nn.Module,
    preprocess: Preprocess,
    *,
    precision: str,
    runtime: str,
    batch_size: int,
) -> Encoder:
    """Return an encoder of a network for this machine; see `Backbone.open`."""
    network = _normalised(module, preprocess)
    kind = OpenVinoEncoder if resolve_runtime(runtime) == "openvino" else TorchEncoder
    return kind(network, preprocess.size, precision, batch_size)


def _normalised(module: torch.nn.Module, preprocess: Preprocess) -> torch.nn.Module:
    """Return a network from uint8 pixels, (images, height, width, 3), to float32 embeddings."""
    import torch

    class Normalised(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.mean = torch.nn.Buffer(torch.tensor(preprocess.mean))
            self.std = torch.nn.Buffer(torch.tensor(preprocess.std))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            scaled = pixels.to(torch.float32) / 255  # (b, h, w, 3)
            images = ((scaled - self.mean) / self.std).permute(0, 3, 1, 2)  # (b, 3, h, w)
            features: torch.Tensor = self.module(images)
            return features

    return Normalised().eval()


class _FixedBatches:
    """Batches padded with black images, because the batch size changes low bits of vectors."""

    def __init__(self, size: tuple[int, int], batch_size: int) -> None:
        self._buffer = np.zeros((batch_size, *size, 3), np.uint8)

    def pad(self, pixels: np.ndarray) -> np.ndarray:
        self._buffer[: len(pixels)] = pixels
        self._buffer[len(pixels) :] = 0
        return self._buffer


class TorchEncoder:
    """Encoder by PyTorch: channels last, autocast to bf16 if selected, on CUDA if available."""

    def __init__(
        self, network: torch.nn.Module, size: tuple[int, int], precision: str, batch_size: int
    ) -> None:
        import torch

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network: Any = network.to(self._device).to(memory_format=torch.channels_last)
        self._precision = precision
        self._batches = _FixedBatches(size, batch_size)
        self.provenance = {
            "runtime": f"torch {torch.__version__}",
            "device": torch.cuda.get_device_name() if self._device.type == "cuda" else _cpu_name(),
        }

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `Encoder.encode`."""
        import torch

        batch = torch.from_numpy(self._batches.pad(pixels)).to(self._device)
        half = self._precision == "bf16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=half),
        ):
            features = self._network(batch)[: len(pixels)]
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)  # (b, d)


class OpenVinoEncoder:
    """Encoder by OpenVINO, the fastest runtime on Intel CPUs."""

    def __init__(
        self, network: torch.nn.Module, size: tuple[int, int], precision: str, batch_size: int
    ) -> None:
        with _no_telemetry():
            import openvino

        model = _convert(network, size)
        model.reshape({0: [batch_size, *size, 3]})
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": "1"}
        )
        self._request = compiled.create_infer_request()
        self._batches = _FixedBatches(size, batch_size)
        self.provenance = {
            "runtime": f"openvino {openvino.__version__.partition('-')[0]}",
            "device": _cpu_name(),
        }

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `Encoder.encode`."""
        result = self._request.infer({0: self._batches.pad(pixels)}, share_inputs=True)
        return np.array(result[0][: len(pixels)], dtype=np.float32)  # (b, d)


def _convert(network: torch.nn.Module, size: tuple[int, int]) -> Any:
    """Trace a network and convert it for OpenVINO without telemetry."""
    import torch

    with _no_telemetry():
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    example = torch.zeros(1, *size, 3, dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing is deprecated in torch, but some versions of OpenVINO lack its replacement.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(network, example_input=example)
        return frontend.convert(frontend.load(decoder))  # `decoder` must outlive the conversion


@contextlib.contextmanager
def _no_telemetry() -> Iterator[None]:
    """Block imports of OpenVINO's telemetry package."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # makes its import fail
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
