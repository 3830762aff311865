"""Datasets of corrupted images: a stream with a drift of known size."""

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
from .dataset import Dataset, Item
from .source import Source, Stamp

__all__ = ["RECIPE", "SEVERITIES", "CorruptedSource", "Pixels", "corrupted", "corruption_kinds"]

Pixels = NDArray[np.uint8]
"""Array (height, width, 3) of an RGB image."""

Noise = Callable[[], np.random.Generator]
"""Function that returns the random generator of the image, in its initial state."""

SEVERITIES = (1, 2, 3, 4, 5)

RECIPE = 1
"""Version of the corruptions; it changes when a kind produces other pixels."""

corruption_kinds: Registry[Callable[[Pixels, int, Noise], bytes]] = Registry("corruption")
"""Functions from pixels, severity and `Noise` to the bytes of an image file, by kind.

Examples
--------
>>> list(corruption_kinds)
['gaussian_noise', 'blur', 'brightness', 'contrast', 'jpeg']
"""


@corruption_kinds.register("gaussian_noise")
def gaussian_noise(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Add normal noise with a standard deviation of 8 to 38 % of the range."""
    # All severities scale the same noise.
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1] * 255
    return _png(pixels + deviation * noise().standard_normal(pixels.shape))


@corruption_kinds.register("blur")
def blur(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Gaussian blur with a standard deviation of 1/224 to 6/224 of the shorter side."""
    # It is at least 0.4 to 1 pixel (by severity): the published values for images of 32 pixels.
    from PIL import Image, ImageFilter

    share = (1, 2, 3, 4, 6)[severity - 1] / 224
    least = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    radius = max(share * min(pixels.shape[:2]), least)
    return _png(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius))))


@corruption_kinds.register("brightness")
def brightness(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """HSV value raised by 10 to 50 % of the range, with the same hue and saturation."""
    added = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1] * 255
    value = pixels.max(axis=2, keepdims=True).astype(np.float64)  # (height, width, 1)
    raised = np.minimum(value + added, 255)
    black = value == 0  # black has no hue and becomes grey
    return _png(np.where(black, raised, pixels * raised / np.where(black, 1, value)))


@corruption_kinds.register("contrast")
def contrast(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Reduce each pixel's distance to the mean of its channel to between 40 and 5 %."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    # The sum of 8-bit values is exact in float64 in any order.
    mean = pixels.mean(axis=(0, 1), dtype=np.float64)  # (3,)
    return _png((pixels - mean) * kept + mean)


@corruption_kinds.register("jpeg")
def jpeg(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """JPEG compression with a quality between 25 and 7."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    return _encoded(pixels, "JPEG", quality=quality)


def _png(values: NDArray[Any]) -> bytes:
    """Return the nearest 8-bit image as a PNG."""
    # Writing is faster without compression, and the bytes do not depend on the installed zlib.
    rounded = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return _encoded(rounded, "PNG", compress_level=0)


def _encoded(pixels: Pixels, form: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


KINDS = ("gaussian_noise", "blur", "brightness", "contrast", "jpeg")

SHORTER_SIDE = 256
"""Maximum pixels of the shorter side, because the effect of a severity depends on the size."""

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

    A *variant* is a kind at a severity, such as ``"blur-3"``, or ``"clean"``. Item `x` becomes
    item ``blur-3/x`` of bucket ``blur-3``, with the same label and split. Images are corrupted
    when they are read, and their vectors are cached like those of other images.

    Parameters
    ----------
    dataset
        The clean images.
    kinds
        Any of ``gaussian_noise``, ``blur``, ``brightness``, ``contrast`` and ``jpeg``.
    severities
        Severities from 1 (slight) to 5 (strong).
    clean
        Whether the clean images are the first variant.
    spread
        Whether every item is in one variant only. The items of each class and split are then
        distributed evenly, in an order given by the SHA-256 of their ids. Without `spread`, every
        item is in all variants. The dataset should then have splits: without splits, a test image
        of one variant may be a training image of another variant.

    Raises
    ------
    UnknownNameError
        If a kind is not registered.
    UsageError
        If a severity is not 1 to 5, a value is given twice, or there is no variant.

    Notes
    -----
    The values follow D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to
    Common Corruptions and Perturbations", ICLR 2019 (arXiv:1903.12261). Results cannot be compared
    with ImageNet-C, for four reasons. There are five kinds instead of fifteen. Images are not
    cropped, but resized to a shorter side of at most 256 pixels. The radius of the blur follows the
    shorter side. Pixels are stored without loss. The bytes depend on the image, its id, the variant
    and the versions of Pillow and NumPy.

    Examples
    --------
    >>> from embedpipe.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> variants = corrupted(digits, ["blur", "jpeg"], [1, 5])
    >>> len(variants) == 5 * len(digits), variants.items[0]
    (True, Item(id='blur-1/test/1400.pgm', label='2', split='test', bucket='blur-1'))
    >>> variants.source.read_one("blur-1/test/1400.pgm")[:4]
    b'\x89PNG'
    >>> len(corrupted(digits, ["blur", "jpeg"], [1, 5], spread=True)) == len(digits)
    True
    """
    variants = _variant_names(kinds, severities, clean)
    all_pairs = [(item, variant) for item in dataset.items for variant in variants]
    pairs = _distributed(dataset.items, variants) if spread else all_pairs
    items = [replace(item, id=f"{variant}/{item.id}", bucket=variant) for item, variant in pairs]
    items.sort(key=lambda item: item.id)
    options = hashlib.sha256(repr((variants, spread)).encode()).hexdigest()[:8]
    return replace(
        dataset,
        name=f"{dataset.name}-corrupted-{options}",
        items=tuple(items),
        source=CorruptedSource(dataset.source),
    )


class CorruptedSource(Source):
    """The images of another source, corrupted by the variant in the first folder of an id."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def location(self) -> str:
        """The location of the clean images."""
        return f"{self._source.location}, corrupted"

    def path(self, id: str) -> str:
        """Return the path of the clean image."""
        return self._source.path(id.partition("/")[2])

    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of the corrupted image without computing it."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of each of `ids`."""
        parts = [id.partition("/") for id in ids]
        stamps = self._source.stamps([clean_id for _, _, clean_id in parts])
        return [
            _stamp(variant, stamp) for (variant, _, _), stamp in zip(parts, stamps, strict=True)
        ]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each corrupted image; each clean image is decoded once."""
        variants: dict[str, list[str]] = {}
        for id in ids:
            variant, _, clean_id = id.partition("/")
            if variant == CLEAN or _parsed(variant) is not None:
                variants.setdefault(clean_id, []).append(variant)
            else:
                yield id, FileNotFoundError(f"it is not in {self.location}")
        for clean_id, content in self._source.read(list(variants)):
            for variant, corrupt in _corrupted(clean_id, content, variants[clean_id]):
                yield f"{variant}/{clean_id}", corrupt


def _variant_names(kinds: Sequence[str], severities: Sequence[int], clean: bool) -> tuple[str, ...]:
    """Return the names of the variants, the clean variant first."""
    if isinstance(kinds, str):
        raise UsageError(f"kinds must be a list; for one kind give [{kinds!r}].")
    for kind in kinds:
        corruption_kinds[kind]  # raises for an unknown name
    for severity in severities:
        if severity not in SEVERITIES:
            raise UsageError(f"a severity must be 1, 2, 3, 4 or 5; got {severity!r}.")
    for given in (kinds, severities):
        for each in given:
            if list(given).count(each) > 1:
                raise UsageError(f"{each!r} is given twice; give it once.")
    variants = [f"{kind}-{int(severity)}" for kind in kinds for severity in severities]
    if not variants and not clean:
        raise UsageError("there is no variant: give a kind and a severity, or leave `clean` on.")
    return (CLEAN, *variants) if clean else tuple(variants)


def _parsed(variant: str) -> tuple[str, int] | None:
    """Return the kind and the severity of a variant, None if its name is invalid."""
    kind, _, severity = variant.rpartition("-")
    known = kind in corruption_kinds and severity in map(str, SEVERITIES)
    return (kind, int(severity)) if known else None


def _distributed(items: Sequence[Item], variants: Sequence[str]) -> list[tuple[Item, str]]:
    """Return (item, variant) pairs: items sorted by split and class take the variants in turn."""

    def sort_key(item: Item) -> tuple[str, str, bytes]:
        digest = hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()
        return item.split or "", item.label or "", digest

    ordered = sorted(items, key=sort_key)
    return [(item, variants[row % len(variants)]) for row, item in enumerate(ordered)]


def _corrupted(
    id: str, content: bytes | OSError, variants: Sequence[str]
) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield each variant of one image, with its bytes or with the error."""
    if isinstance(content, OSError):
        yield from ((variant, content) for variant in variants)
        return
    pixels = functools.cache(functools.partial(_pixels, content))  # decoded at most once
    for variant in variants:
        parsed = _parsed(variant)
        if parsed is None:
            yield variant, content
            continue
        kind, severity = parsed
        noise = _Seed(kind, id, content).generator
        try:
            yield variant, corruption_kinds[kind](pixels(), severity, noise)
        except OSError as error:
            yield variant, error


@dataclass(frozen=True)
class _Seed:
    """The seed of an image's noise, the same for all severities."""

    kind: str
    id: str
    content: bytes

    def generator(self) -> np.random.Generator:
        digest = hashlib.sha256(self.content).digest()
        text = f"{self.kind}\0{self.id}\0".encode("utf-8", "surrogatepass")
        seed = hashlib.sha256(text + digest).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))


def _pixels(content: bytes) -> Pixels:
    """Return the pixels of an image, upright and of limited size."""
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
        raise OSError(str(error)) from error


@functools.cache
def _recipe() -> str:
    import PIL

    return f"{RECIPE} {PIL.__version__} {np.__version__} {COLOUR_RULE}"


def _stamp(variant: str, clean: Stamp | None) -> Stamp | None:
    """Return the clean image's stamp, with a digest of the recipe as the inode of a variant."""
    if clean is None or variant == CLEAN:
        return clean
    parsed = _parsed(variant)
    if parsed is None or parsed[0] not in KINDS:
        return None  # a kind registered by the user may change at any time
    digest = hashlib.sha256(f"{_recipe()} {clean.inode}".encode()).digest()
    return replace(clean, inode=int.from_bytes(digest[:8], "big"))
