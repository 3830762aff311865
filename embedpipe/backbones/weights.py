"""Files of weights, and digests of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError

if TYPE_CHECKING:
    import torch

__all__ = [
    "digest_of_file",
    "digest_of_tensors",
    "digest_of_weights",
    "load_weights",
    "read_weights",
]


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_weights(module: torch.nn.Module) -> str:
    """Return the SHA-256 of the names, shapes, dtypes and values of a module's weights."""
    return digest_of_tensors(module.state_dict())


def digest_of_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of the names, shapes, dtypes and values of tensors."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(plain.shape)} {plain.dtype}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a ``.safetensors`` or ``.pth`` file without executing code in it."""
    if not path.is_file():
        raise BackboneError(f"no weights at {path}: give the path of a .safetensors or .pth file.")
    try:
        weights = _read(path)
    # The readers raise many kinds of exceptions for other files.
    except Exception as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        raise BackboneError(f"{path} cannot be read as weights: {reason}") from error
    if not weights or not all(hasattr(tensor, "shape") for tensor in weights.values()):
        raise BackboneError(f"{path} has no state dict: expected tensors by name.")
    return {name.removeprefix("module."): tensor for name, tensor in weights.items()}


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return dict(content)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a file of weights into a feature extractor; additional tensors are ignored."""
    given, wanted = read_weights(path), module.state_dict()
    missing = [name for name in wanted if name not in given and "num_batches" not in name]
    if missing:
        raise BackboneError(
            f"{path} does not fit the architecture: {len(missing)} of the {len(wanted)} tensors of "
            f"the architecture are missing; the first is {missing[0]!r}. Give the architecture "
            "that was trained."
        )
    for name, tensor in wanted.items():
        if name in given and given[name].shape != tensor.shape:
            raise BackboneError(
                f"{path} does not fit the architecture: {name!r} is {tuple(given[name].shape)} "
                f"in the file and {tuple(tensor.shape)} in the model."
            )
    module.load_state_dict({name: given[name] for name in wanted if name in given}, strict=False)
