"""Images of a dataset in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from .pages import plural
from .thumbnails import data_uri, is_tiny, thumbnails_of

if TYPE_CHECKING:
    from ..datasets import Dataset

__all__ = ["ImageGrid", "show_images"]

MAX_IMAGES = 100
"""Maximum number of images in a notebook; each takes about 4 kB."""


@dataclass(frozen=True)
class ImageGrid:
    """Images with captions, from `show_images`; Jupyter shows them.

    Attributes
    ----------
    names, captions
        Item ids, and the texts below the images.
    thumbnails
        Encoded images with sides of at most 96 pixels; None for unreadable files.
    n_images
        Number of all images, including those that are not shown.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    thumbnails: tuple[bytes | None, ...]
    n_images: int

    def __repr__(self) -> str:
        return f"ImageGrid({self.n_images} images)"

    def _repr_html_(self) -> str:
        shown = zip(self.names, self.captions, self.thumbnails, strict=True)
        cells = "".join(_cell(*each) for each in shown)
        left = self.n_images - len(self.names)
        more = f"<div>… {plural(left, 'more image')}</div>" if left else ""
        style = "display:flex;flex-wrap:wrap;gap:10px;font-size:.85em"
        return f'<div dir="auto"><div style="{style}">{cells}</div>{more}</div>'


def show_images(
    images: Any, rows: Any = None, *, captions: ArrayLike | Sequence[Any] | None = None
) -> ImageGrid:
    """Show images of a dataset in a notebook.

    Parameters
    ----------
    images
        A `Dataset`, `Embeddings`, or an `ActiveLoop` on embeddings.
    rows
        Rows of the dataset, or an object with ``rows``, such as a `Selection` or a `RoundRecord`.
        By default all rows. At most 100 images are shown.
    captions
        A text for each row. By default the labels of the dataset, or the file names.

    Raises
    ------
    UsageError
        If `images` has no dataset, a row does not exist, or the captions do not fit the rows.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits")
    >>> grid = ep.show_images(digits, [0, 1, 2])
    >>> grid.captions, grid._repr_html_().count("<img")
    (('2', '8', '2'), 3)
    """
    dataset = _dataset_of(images)
    given = np.asarray(range(len(dataset)) if rows is None else getattr(rows, "rows", rows))
    if given.size and given.dtype.kind not in "iu":
        raise UsageError(
            f"rows must be whole numbers, got {given.dtype}: for a mask, give "
            "`np.flatnonzero(mask)`."
        )
    chosen = [int(row) for row in given.ravel()]
    outside = [row for row in chosen if not 0 <= row < len(dataset)]
    if outside:
        raise UsageError(f"there is no row {outside[0]}: the dataset has {len(dataset):,} images.")
    if captions is not None and len(np.asarray(captions)) != len(chosen):
        raise UsageError(
            f"there are {len(np.asarray(captions))} captions for {len(chosen)} rows: give one for "
            "each row."
        )
    items = [dataset.items[row] for row in chosen[:MAX_IMAGES]]
    texts = [item.label or item.id.rpartition("/")[2] for item in items]
    if captions is not None:
        texts = [str(each) for each in np.asarray(captions).tolist()[:MAX_IMAGES]]
    found = thumbnails_of(dataset, [item.id for item in items])
    names = tuple(item.id for item in items)
    return ImageGrid(names, tuple(texts), tuple(found.get(name) for name in names), len(chosen))


def _dataset_of(images: Any) -> Dataset:
    from ..datasets import Dataset

    problem = getattr(images, "problem", None)  # of a loop
    embeddings = images if problem is None else problem.embeddings
    dataset = getattr(embeddings, "dataset", embeddings)
    if not isinstance(dataset, Dataset):
        raise UsageError(
            f"a {type(images).__name__} has no images: give a dataset, embeddings, or a loop on "
            "embeddings."
        )
    return dataset


def _cell(name: str, caption: str, thumbnail: bytes | None) -> str:
    title = escape(name)
    if thumbnail is None:
        image = '<div style="width:72px;height:72px">unreadable</div>'
    else:
        style = "width:72px;height:72px;object-fit:contain;margin:0"
        style += ";image-rendering:pixelated" if is_tiny(thumbnail) else ""
        image = f'<img src="{data_uri(thumbnail)}" alt="{title}" style="{style}">'
    text = f'<figcaption style="overflow-wrap:anywhere"><bdi>{escape(caption)}</bdi></figcaption>'
    return f'<figure title="{title}" style="width:72px;margin:0">{image}{text}</figure>'
