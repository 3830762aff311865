"""The runtimes that execute a network: torch anywhere, OpenVINO on x86 CPUs."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import platform
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._threads import available_cpus
from ..errors import BackboneError, UsageError
from .backbone import Encoder
from .preprocess import Preprocess

if TYPE_CHECKING:
    import torch

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "OpenVinoModel",
    "cpu_name",
    "no_telemetry",
    "normalised",
    "open_encoder",
    "openvino_model",
    "padded",
    "resolve_precision",
    "resolve_runtime",
    "second_level_cache",
    "streams_of",
    "uses_cuda",
]

PRECISIONS = ("auto", "fp32", "bf16")
RUNTIMES = ("auto", "torch", "torch-compile", "openvino", "onnxruntime")


def resolve_precision(precision: str, allowed: Sequence[str] = ("fp32", "bf16")) -> str:
    """Return ``"fp32"`` or ``"bf16"``; ``"auto"`` is bf16 if hardware and backbone support it.

    `allowed` has the precisions of the backbone.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: use auto, fp32 or bf16.")
    if precision not in ("auto", *allowed):
        raise UsageError(f"this backbone does not allow --precision {precision}: use {allowed[0]}.")
    if precision != "auto":
        return precision
    return "bf16" if "bf16" in allowed and (_cpu_has_bf16() or _gpu_has_bf16()) else "fp32"


def resolve_runtime(runtime: str) -> str:
    """Return a runtime other than ``"auto"``, which is the fastest on this machine."""
    import torch

    installed = importlib.util.find_spec("openvino") is not None
    if runtime == "openvino" and not installed:
        raise BackboneError("OpenVINO is not installed: `pip install 'embedpipe[openvino]'`.")
    if runtime != "auto":
        return runtime
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if installed and x86 and not torch.cuda.is_available() else "torch"


def uses_cuda(runtime: str) -> bool:
    """Return whether a runtime executes networks on a CUDA GPU of this machine."""
    if not Path("/proc/driver/nvidia").exists():
        return False
    import torch

    return torch.cuda.is_available() and resolve_runtime(runtime) in ("torch", "torch-compile")


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


@functools.cache
def second_level_cache() -> int:
    """Return the bytes of the first processor's second-level cache; 2 MiB if they are unknown."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        with contextlib.suppress(OSError, ValueError):
            if (folder / "level").read_text().strip() == "2":
                return int((folder / "size").read_text().strip().removesuffix("K")) << 10
    return 2 << 20


def open_encoder(
    module: torch.nn.Module,
    preprocess: Preprocess,
    *,
    precision: str,
    runtime: str,
    batch_size: int,
) -> Encoder:
    """Return an encoder of a network for this machine; see `Backbone.open`."""
    network = normalised(module, preprocess)
    chosen = resolve_runtime(runtime)
    if chosen == "onnxruntime":
        raise UsageError("--runtime onnxruntime is for backbones that are ONNX files: use another.")
    if chosen == "openvino":
        return OpenVinoEncoder(network, preprocess.size, precision, batch_size)
    compiled = chosen == "torch-compile"
    return TorchEncoder(network, preprocess.size, precision, batch_size, compiled)


def normalised(module: torch.nn.Module, preprocess: Preprocess) -> torch.nn.Module:
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


def padded(pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """Return a batch padded with black images: the batch size may change low bits of vectors."""
    if len(pixels) == batch_size:
        return np.ascontiguousarray(pixels)
    batch = np.zeros((batch_size, *pixels.shape[1:]), np.uint8)
    batch[: len(pixels)] = pixels
    return batch


def streams_of(batch_size: int) -> int:
    """Return the number of batches to encode at once on a CPU, each by one thread.

    Threads that share a batch wait for each other at every layer. Only single images are encoded by
    all threads, for the shortest delay.
    """
    return available_cpus() if batch_size > 1 else 1


class TorchEncoder:
    """Encoder by PyTorch: channels last, autocast to bf16 if selected, on CUDA if available."""

    def __init__(
        self,
        network: torch.nn.Module,
        size: tuple[int, int],
        precision: str,
        batch_size: int,
        compiled: bool = False,
    ) -> None:
        import torch

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network: Any = network.to(self._device).to(memory_format=torch.channels_last)
        if compiled:
            self._network = torch.compile(self._network)
        self._precision, self._batch_size = precision, batch_size
        on_gpu = self._device.type == "cuda"
        self.streams = 2 if on_gpu else streams_of(batch_size)  # on a GPU, one copies its pixels
        self._threads = torch.get_num_threads()
        name = "torch-compile" if compiled else "torch"
        self.provenance = {
            "runtime": f"{name} {torch.__version__}",
            "device": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        }

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `Encoder.encode`."""
        import torch

        batch = torch.from_numpy(padded(pixels, self._batch_size))
        if self._device.type == "cuda":
            batch = batch.pin_memory().to(self._device, non_blocking=True)
        half = self._precision == "bf16"
        with (
            self._one_thread_per_stream(),
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=half),
        ):
            features = self._network(batch)[: len(pixels)]
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)  # (b, d)

    @contextlib.contextmanager
    def _one_thread_per_stream(self) -> Iterator[None]:
        """Limit torch to one thread in the calling thread, if several threads encode."""
        import torch

        if self._device.type == "cuda" or self.streams == 1:
            yield
            return
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(self._threads)  # new threads take the latest number


class OpenVinoEncoder:
    """Encoder by OpenVINO, the fastest runtime on Intel CPUs."""

    def __init__(
        self, network: torch.nn.Module, size: tuple[int, int], precision: str, batch_size: int
    ) -> None:
        model = openvino_model(network, size)
        model.reshape({0: [batch_size, *size, 3]})
        self.streams, self._batch_size = streams_of(batch_size), batch_size
        self._model = OpenVinoModel(model, precision, self.streams)
        self.provenance = self._model.provenance

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `Encoder.encode`."""
        features = self._model(padded(pixels, self._batch_size))
        return features[: len(pixels)].copy()  # (b, d)


class OpenVinoModel:
    """A model compiled by OpenVINO; several threads may call it at the same time."""

    def __init__(self, model: Any, precision: str, streams: int) -> None:
        with no_telemetry():
            import openvino

        properties = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": str(available_cpus()),
            "NUM_STREAMS": str(streams),
            "ENABLE_CPU_PINNING": "NO",  # several processes would share the first processors
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", properties)
        self._requests = threading.local()
        self.provenance = {
            "runtime": f"openvino {openvino.__version__.partition('-')[0]}",
            "device": cpu_name(),
        }

    def __call__(self, batch: np.ndarray, output: str | int = 0) -> NDArray[np.float32]:
        """Return an output for a batch; the next call of the same thread overwrites it."""
        if not hasattr(self._requests, "request"):
            self._requests.request = self._compiled.create_infer_request()
        result = self._requests.request.infer({0: batch}, share_inputs=True)
        return np.asarray(result[output], np.float32)


def openvino_model(network: torch.nn.Module, size: tuple[int, int]) -> Any:
    """Trace a network and convert it for OpenVINO without telemetry."""
    import torch

    with no_telemetry():
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
def no_telemetry() -> Iterator[None]:
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


def cpu_name() -> str:
    """Return the model of the processor."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
