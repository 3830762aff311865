"""Heads on disk: safetensors files, which hold only numbers and text and cannot run code."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import write_atomically
from ..errors import DamagedFileError, UsageError
from .registry import heads

FORMAT = "embedpipe-head"
VERSION = 1

_Tensors = dict[str, NDArray[Any]]


def save_head(head: Any, path: str | Path, *, metadata: dict[str, Any] | None = None) -> Path:
    """Write a fitted head to a safetensors file, atomically.

    The file has plain arrays and a JSON header: format, version, name of the head, parameters,
    classes, a digest and `metadata`. An example of metadata is the spec of the embeddings.

    Raises
    ------
    UsageError
        If the head is not registered or not fitted, or has a value that cannot be saved.

    Examples
    --------
    >>> from embedpipe.heads import LogisticHead
    >>> from tempfile import TemporaryDirectory
    >>> head = LogisticHead().fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
    >>> with TemporaryDirectory() as folder:
    ...     path = save_head(head, f"{folder}/head.safetensors", metadata={"dim": 2})
    ...     again, metadata = load_head(path)
    >>> again.predict([[0.1, 0.9]]).tolist(), metadata
    (['hat'], {'dim': 2})
    """
    from safetensors.numpy import save

    name = heads.name_of(head)
    tensors: _Tensors = {}
    values: dict[str, Any] = {}
    for attribute, value in _fitted(head).items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            tensors[attribute] = np.ascontiguousarray(value)
        else:
            values[attribute] = _plain(name, attribute, value)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "head": name,
        "parameters": head.get_params(),
        "fitted": values,
        "metadata": metadata or {},
    }
    try:
        # The digest is of the header as `load_head` reads it, where every key is a string.
        header = json.loads(json.dumps(header))
        text = json.dumps({**header, "sha256": _digest(header, tensors)}, sort_keys=True)
    except TypeError as error:
        raise UsageError(f"a head's parameters and metadata must be plain JSON: {error}.") from None
    path = Path(path)
    write_atomically(path, save(tensors, metadata={FORMAT: text}))
    return path


def load_head(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """Read a head and its metadata from a file that `save_head` wrote.

    The loaded head predicts the same as the saved head, to the last bit.

    Raises
    ------
    UsageError
        If `path` is not a file, or its head is not registered.
    DamagedFileError
        If the file is not a head file, was truncated or altered, or has a newer version.
    """
    path = Path(path)
    header, tensors = _read(path)
    if header.get("version") != VERSION:
        raise DamagedFileError(
            f"{path} is a model file of version {header.get('version')}; "
            f"this embedpipe reads version {VERSION}: update embedpipe."
        )
    if header.pop("sha256", None) != _digest(header, tensors):
        raise DamagedFileError(f"{path} was altered: its content does not match its digest.")
    name = str(header.get("head"))
    if name not in heads:  # `heads["module:Class"]` would import that module
        raise UsageError(
            f"{path} holds the head {name!r}, which is not registered. Install the package that "
            "has it, or import the module that registers it (--import MODULE)."
        )
    try:
        head = heads[name](**header["parameters"])
        fitted, metadata = header["fitted"], header["metadata"]
        for attribute, value in fitted.items():
            setattr(head, attribute, np.array(value) if isinstance(value, list) else value)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path} has an invalid header: {error}") from None
    for attribute, array in tensors.items():
        setattr(head, attribute, array)
    return head, metadata


def _fitted(head: Any) -> dict[str, Any]:
    """Return the attributes that `fit` set."""
    fitted = {
        name: value
        for name, value in vars(head).items()
        if name.endswith("_") and not name.startswith("_")
    }
    if "classes_" not in fitted:
        raise UsageError(f"this {type(head).__name__} is not fitted yet: call fit before saving.")
    return fitted


def _plain(head: str, attribute: str, value: Any) -> Any:
    """Return `value` as a type that JSON can store; refuse other types."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and all(isinstance(entry, str) for entry in value.flat):
        value = value.tolist()
    if isinstance(value, str | int | float | bool | list | None):
        return value
    raise UsageError(
        f"the head {head!r} cannot be saved: {attribute} is a {type(value).__name__}; "
        "expected a number, a string or an array of these."
    )


def _digest(header: dict[str, Any], tensors: _Tensors) -> str:
    """Return the SHA-256 of the header and the arrays, sorted by name."""
    digest = sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], _Tensors]:
    """Return the header and the arrays of a head file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"there is no model file at {path}. Check --model, or train one.")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(FORMAT)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DamagedFileError(
            f"{path} is not a model file, or is truncated: {' '.join(str(error).split())}."
        ) from None
    if text is None:
        raise DamagedFileError(f"{path} is a safetensors file, but not a model file.")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise DamagedFileError(f"{path} has a header that is not JSON: {error}.") from None
    if not isinstance(header, dict):
        raise DamagedFileError(f"{path} has a header that is not a JSON object.")
    return header, tensors
