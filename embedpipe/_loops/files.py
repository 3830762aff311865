"""Files of loops: the configuration of a run, errors about its folder, memory-mapped matrices."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import write_atomically
from ..errors import RunError

__all__ = ["damaged", "path_of", "unwritable", "write_config"]


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration of the run in a folder, or check that it is the same as before."""
    path = folder / "config.json"
    text = json.dumps(config, sort_keys=True, indent=1).encode()
    try:
        if not path.exists():
            write_atomically(path, text)
        found = path.read_bytes()
    except OSError as error:
        raise unwritable(folder, error) from error
    if found != text:
        raise RunError(
            f"{folder} holds another run: it was started with other arguments. Choose "
            "another folder, or delete this one."
        )


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error for a run that cannot be written, which says that nothing is lost."""
    return RunError(
        f"cannot write the run to {path}: {error.strerror or error}. What was written before is "
        "whole; free space or permit writing, then run the same command again."
    )


def damaged(folder: Path, why: object) -> RunError:
    """Return the error for a run that cannot be read, with the first line of what is wrong."""
    if isinstance(why, OSError) and why.errno not in (None, errno.ENOENT):  # it may be whole
        return RunError(f"cannot read the run in {folder}: {why.strerror or why}.")
    return RunError(
        f"the run in {folder} is damaged ({str(why).splitlines()[0]}): delete the folder, and "
        "the same command makes it again."
    )


def path_of(matrix: NDArray[np.float32]) -> Path | None:
    """Return the ``.npy`` file that `matrix` is the whole memory map of, or None."""
    owner: Any = matrix
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    if not isinstance(owner, np.memmap) or owner.filename is None or owner.mode != "r":
        return None
    path = Path(owner.filename)
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # gone, or no .npy file
        return None
    same = whole.shape == matrix.shape and whole.strides == matrix.strides
    return path if same and whole.dtype == matrix.dtype else None
