"""`import_vectors`: vectors that exist already, as those of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._options import EmbedOptions
from .._workspace import Workspace
from ..datasets import Dataset, load_dataset
from ..errors import VectorFileError
from .embed import embed_scanned
from .embeddings import Embeddings
from .imported_names import IMPORTED
from .scan import Progress
from .vector_files import VectorSource

__all__ = ["import_vectors"]


def import_vectors(
    dataset: Dataset | str | Path | Sequence[str | Path],
    vectors: str | Path | Any,
    *,
    paths: str | Path | Iterable[str | Path] | None = None,
    name: str | None = None,
    skip_unknown: bool = False,
    workspace: str | Path | Workspace | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """Store the vectors of a dataset's images that another program computed.

    Then ``backbone="imported:NAME"`` means these vectors, and nothing is computed. More files
    can be imported under the same name: for new images, or for other datasets. Vectors are stored
    as float32, so float32 and float16 are stored exactly. If the call raises an error, no vector is
    stored; if it is killed, the same call completes the import.

    Parameters
    ----------
    dataset
        A dataset, or an argument for `load_dataset`.
    vectors
        A ``.npy``, ``.npz``, ``.parquet``, ``.lance`` or Lightly's ``.csv`` file, or an (n, d)
        array of n vectors.
    paths
        The path of each vector, or a file with these paths. It is required for an array. The
        default for ``.npy`` is the file beside it with the same name that ends in ``.txt``,
        ``.csv`` or ``.json``. The other formats have their own paths.
    name
        Name of the vectors, which identifies their encoder; by default, the file's name and the
        beginning of its digest.
    skip_unknown
        Whether vectors of images that are not in the dataset are left out; by default, they are an
        error.
    workspace, progress
        As for `embed`; the stage ``"import"`` counts each vector twice.

    Returns
    -------
    Embeddings
        A row for each item that has a vector; other items are in its `failures`.

    Raises
    ------
    VectorFileError
        If the file is damaged; if its vectors are not finite or differ in length; if its paths are
        unknown or repeated; or if two paths with equal image files have different vectors.
    UsageError
        If the name is invalid.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> vectors = np.random.default_rng(0).normal(size=(397, 8))
    >>> paths = [item.id for item in digits.items]
    >>> embeddings = ep.import_vectors(digits, vectors, paths=paths, name="mine", workspace=tmp)
    >>> embeddings.shape, embeddings.report.embedded
    ((397, 8), 397)
    >>> ep.embed(digits, backbone="imported:mine", workspace=tmp).report.embedded
    0
    """
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset)
    source = VectorSource(
        Path(vectors).expanduser() if isinstance(vectors, str | Path) else _array(vectors),
        Path(paths).expanduser() if isinstance(paths, str | Path) else _texts(paths),
        skip_unknown=skip_unknown,
        again=True,
    )
    options = EmbedOptions(vectors=source)
    if name is not None:
        options = EmbedOptions(backbone=IMPORTED + name, vectors=source)
    return embed_scanned(dataset, Workspace(workspace), options, progress)


def _array(vectors: Any) -> NDArray[Any]:
    try:
        return np.asarray(vectors)
    except ValueError as error:
        raise VectorFileError(
            "the array of vectors: expected rows of equal length. Nothing was stored."
        ) from error


def _texts(paths: Iterable[str | Path] | None) -> list[str] | None:
    return None if paths is None else [os.fspath(path) for path in paths]
