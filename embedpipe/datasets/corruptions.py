"""A dataset whose images are corrupted in steps: a stream that drifts by a known amount."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._pixels import COLOUR_RULE, DecodeError, Picture, decoded
from .._registry import Registry
from ..errors import UsageError
from .dataset import Dataset
from .item import Item
from .source import Source, Stamp

__all__ = ["RECIPE", "SEVERITIES", "CorruptedSource", "Pixels", "corrupted", "corruption_kinds"]

Pixels = NDArray[np.uint8]
"""(height, width, 3), RGB."""

Noise = Callable[[], np.random.Generator]
"""Gives the image's own source of randomness, from its start at each call."""

SEVERITIES = (1, 2, 3, 4, 5)

RECIPE = 1
"""Raised whenever a kind gives other pixels than before."""

corruption_kinds: Registry[Callable[[Pixels, int, Noise], bytes]] = Registry("corruption")
"""Every kind: a function from pixels, severity and randomness to the bytes of an image file.

A kind of one's own, registered, is known to `corrupted` in the same program.

Examples
--------
>>> list(corruption_kinds)
['gaussian_noise', 'blur', 'brightness', 'contrast', 'jpeg']
"""


@corruption_kinds.register("gaussian_noise")
def gaussian_noise(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Grain: a normal deviate added to each value, of 8 % of the range to 38 %."""
    # Every severity scales the same draw, so that they differ in nothing else.
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1] * 255
    return _png(pixels + deviation * noise().standard_normal(pixels.shape))


@corruption_kinds.register("blur")
def blur(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Gaussian blur, of a deviation of 1/224 of the shorter side to 6/224."""
    # At least 0.4 to 1 pixel: the published levels for images of 32 pixels.
    from PIL import Image, ImageFilter

    share = (1, 2, 3, 4, 6)[severity - 1] / 224
    least = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    radius = max(share * min(pixels.shape[:2]), least)
    return _png(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius))))


@corruption_kinds.register("brightness")
def brightness(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Brighter: the value of HSV raised by 10 % of the range to 50 %, hue and saturation kept."""
    added = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1] * 255
    value = pixels.max(axis=2, keepdims=True).astype(np.float64)  # (height, width, 1)
    raised = np.minimum(value + added, 255)
    black = value == 0  # has no hue: it becomes grey
    return _png(np.where(black, raised, pixels * raised / np.where(black, 1, value)))


@corruption_kinds.register("contrast")
def contrast(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Flatter: the distance of each value to its channel's mean shrunk to 40 % down to 5 %."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    # A sum of 8-bit values is exact in float64, whatever the order.
    mean = pixels.mean(axis=(0, 1), dtype=np.float64)  # (3,)
    return _png((pixels - mean) * kept + mean)


@corruption_kinds.register("jpeg")
def jpeg(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Compressed: the bytes of a JPEG of quality 25 down to 7."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    return _encoded(pixels, "JPEG", quality=quality)


def _png(values: NDArray[Any]) -> bytes:
    """Return the nearest 8-bit image as a PNG."""
    # Not compressed: that is quicker, and the bytes do not depend on the compressor installed.
    rounded = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return _encoded(rounded, "PNG", compress_level=0)


def _encoded(pixels: Pixels, form: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


KINDS = ("gaussian_noise", "blur", "brightness", "contrast", "jpeg")

SHORTER_SIDE = 256
"""Larger images are brought down to it first: what a severity looks like depends on the size."""

CLEAN = "clean"


def corrupted(
    dataset: Dataset,
    kinds: Sequence[str] = KINDS,
    severities: Sequence[int] = (1, 3, 5),
    *,
    clean: bool = True,
    spread: bool = False,
) -> Dataset:
    r"""Return a dataset of the same images, corrupted in several ways and degrees.

    A *rung* is a kind at a severity, ``"blur-3"``, or ``"clean"``. Item `x` becomes the item
    ``blur-3/x`` of bucket ``blur-3``, and so on: the bucket says the rung and takes the place of
    the one that the item had; label and split are kept. Images are corrupted when they are read,
    before they are embedded, so their vectors are cached by what they show, as always. Those of
    the clean rung are the bytes of the dataset itself, so their vectors are there already if it
    has been embedded.

    Parameters
    ----------
    dataset
        Of images.
    kinds
        Of ``gaussian_noise``, ``blur``, ``brightness``, ``contrast`` and ``jpeg``.
    severities
        1 (slight) to 5.
    clean
        Whether the images as they are form a rung too, the first one.
    spread
        Every item on one rung only, in place of all: no image is in two buckets, so that nothing
        learned in one can be remembered in another. The items of each class and split are dealt
        to the rungs in turn, in an order drawn from the SHA-256 of their ids, so the rungs have
        the same number of each, give or take one. Adding items may deal others anew. Without it,
        the dataset should have splits: a test image held out of one rung may otherwise be learned
        from in another.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    UsageError
        If a severity is not 1 to 5, something is given twice, or there is no rung at all.

    Notes
    -----
    The ladder follows the idea of D. Hendrycks and T. Dietterich, "Benchmarking Neural Network
    Robustness to Common Corruptions and Perturbations", ICLR 2019 (arXiv:1903.12261), and takes
    its levels from there. It is not their ImageNet-C, and figures cannot be compared. There are
    five kinds in place of fifteen (``blur`` is the Gaussian blur of their extra set). Images are
    not cropped to 224 x 224 pixels, but brought down to a shorter side of 256 if it is longer.
    The blur's radius follows the shorter side; the other levels do not, and are harsh on images
    of 32 pixels, for which they had milder ones. Pixels are kept without loss (PNG) where theirs
    pass through a JPEG of quality 85. The noise is drawn for each image from the SHA-256 of its
    kind, id and bytes, and scaled by the severity, so it is the same in every process and order.

    Bytes follow from the image, its id, the rung and the versions of Pillow and NumPy. For each
    image and rung about 10 ms and a quarter of a megabyte while it is read; nothing is stored but
    vectors.

    Examples
    --------
    >>> from embedpipe.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> ladder = corrupted(digits, ["blur", "jpeg"], [1, 5])
    >>> len(ladder) == 5 * len(digits), ladder.items[0]
    (True, Item(id='blur-1/test/1400.pgm', label='2', split='test', bucket='blur-1'))
    >>> ladder.source.read_one("blur-1/test/1400.pgm")[:4]
    b'\x89PNG'
    >>> len(corrupted(digits, ["blur", "jpeg"], [1, 5], spread=True)) == len(digits)
    True
    """
    rungs = _rungs(kinds, severities, clean)
    all_of = [(item, rung) for item in dataset.items for rung in rungs]
    placed = _dealt(dataset.items, rungs) if spread else all_of
    items = [replace(item, id=f"{rung}/{item.id}", bucket=rung) for item, rung in placed]
    items.sort(key=lambda item: item.id)
    options = hashlib.sha256(repr((rungs, spread)).encode()).hexdigest()[:8]
    return replace(
        dataset,
        name=f"{dataset.name}-corrupted-{options}",
        items=tuple(items),
        source=CorruptedSource(dataset.source),
    )


class CorruptedSource(Source):
    """The images of another source, corrupted by the rung in the first folder of an id.

    It holds nothing but the other source: ``blur-3/train/hat/a.jpg`` is item
    ``train/hat/a.jpg`` blurred, whatever rungs the dataset has.

    Parameters
    ----------
    source
        Of the images as they are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def location(self) -> str:
        """The location of the clean images."""
        return f"{self._source.location}, corrupted"

    def path(self, id: str) -> str:
        """Return where the image as it is can be found."""
        return self._source.path(id.partition("/")[2])

    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of the corrupted image, without making it."""
        # The bytes follow from the clean image, the recipe, and the versions of Pillow and NumPy:
        # its stamp has the size of the clean image, and an inode mixed with these. None for a kind
        # of one's own.
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of each of `ids`."""
        parts = [id.partition("/") for id in ids]
        stamps = self._source.stamps([clean_id for _, _, clean_id in parts])
        return [_stamp(rung, stamp) for (rung, _, _), stamp in zip(parts, stamps, strict=True)]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each corrupted image; the rungs of one image together, decoded once."""
        rungs: dict[str, list[str]] = {}
        for id in ids:
            rung, _, clean_id = id.partition("/")
            if rung == CLEAN or _parsed(rung) is not None:
                rungs.setdefault(clean_id, []).append(rung)
            else:
                yield id, FileNotFoundError(f"{id!r} is not in {self.location}")
        for clean_id, content in self._source.read(list(rungs)):
            for rung, spoiled in _spoiled(clean_id, content, rungs[clean_id]):
                yield f"{rung}/{clean_id}", spoiled


def _rungs(kinds: Sequence[str], severities: Sequence[int], clean: bool) -> tuple[str, ...]:
    """Return the names of the rungs, the clean one first."""
    if isinstance(kinds, str):
        raise UsageError(f"kinds are a list; for one kind give [{kinds!r}].")
    for kind in kinds:
        corruption_kinds[kind]  # or it is an unknown name
    for severity in severities:
        if severity not in SEVERITIES:
            raise UsageError(f"a severity is 1, 2, 3, 4 or 5, not {severity!r}.")
    for given in (kinds, severities):
        for each in given:
            if list(given).count(each) > 1:
                raise UsageError(f"{each!r} is given twice; give it once.")
    rungs = [f"{kind}-{int(severity)}" for kind in kinds for severity in severities]
    if not rungs and not clean:
        raise UsageError("there is no rung: give a kind and a severity, or leave clean on.")
    return (CLEAN, *rungs) if clean else tuple(rungs)


def _parsed(rung: str) -> tuple[str, int] | None:
    """Return the kind and the severity of a rung, None if its name is not one."""
    kind, _, severity = rung.rpartition("-")
    known = kind in corruption_kinds and severity in map(str, SEVERITIES)
    return (kind, int(severity)) if known else None


def _dealt(items: Sequence[Item], rungs: Sequence[str]) -> list[tuple[Item, str]]:
    """Return every item with one rung, the rungs in turn within each split and class."""

    def place(item: Item) -> tuple[str, str, bytes]:
        digest = hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()
        return item.split or "", item.label or "", digest

    ordered = sorted(items, key=place)
    return [(item, rungs[at % len(rungs)]) for at, item in enumerate(ordered)]


def _spoiled(
    id: str, content: bytes | OSError, rungs: Sequence[str]
) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield each rung of one image, or for each why there is none."""
    if isinstance(content, OSError):
        yield from ((rung, content) for rung in rungs)
        return
    pixels = functools.cache(functools.partial(_pixels, content))  # decoded once, if at all
    for rung in rungs:
        parsed = _parsed(rung)
        if parsed is None:
            yield rung, content
            continue
        kind, severity = parsed
        noise = _Seed(kind, id, content).generator
        try:
            yield rung, corruption_kinds[kind](pixels(), severity, noise)
        except OSError as error:
            yield rung, error


@dataclass(frozen=True)
class _Seed:
    """The seed of an image's noise; the severity is no part of it."""

    kind: str
    id: str
    content: bytes

    def generator(self) -> np.random.Generator:
        digest = hashlib.sha256(self.content).digest()
        text = f"{self.kind}\0{self.id}\0".encode("utf-8", "surrogatepass")
        seed = hashlib.sha256(text + digest).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))


def _pixels(content: bytes) -> Pixels:
    """Return the pixels of an image as they are meant to be seen, not larger than needed."""
    from PIL import Image

    def reduced(picture: Picture) -> Pixels:
        image = picture.rgb
        shorter = min(image.size)
        if shorter > SHORTER_SIDE:
            width, height = (max(1, round(side * SHORTER_SIDE / shorter)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(image)

    try:
        return decoded(content, reduced)
    except DecodeError as error:
        raise OSError(f"cannot be decoded, so not corrupted: {error}") from error


@functools.cache
def _recipe() -> str:
    import PIL

    return f"{RECIPE} {PIL.__version__} {np.__version__} {COLOUR_RULE}"


def _stamp(rung: str, clean: Stamp | None) -> Stamp | None:
    """Return the stamp of an image on a rung, given that of the image as it is."""
    if clean is None or rung == CLEAN:
        return clean
    parsed = _parsed(rung)
    if parsed is None or parsed[0] not in KINDS:
        return None  # what a kind of the user's own gives may change at any time
    digest = hashlib.sha256(f"{_recipe()} {clean.inode}".encode()).digest()
    return replace(clean, inode=int.from_bytes(digest[:8], "big"))
