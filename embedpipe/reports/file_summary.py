"""Sizes, shapes and formats of image files, as tables of counts and charts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks.file_groups import format_counts, format_of_name, misnamed_rows, size_groups
from .charts import BarChart, PointMap, bar_chart, point_map
from .pages import plural

if TYPE_CHECKING:
    from ..checks import CheckResult

__all__ = ["CountTable", "FileSummary", "count_table", "file_summary", "format_bytes"]

MAX_SIZES = 2000
"""Maximum number of sizes in the chart; the most common ones are shown."""

MAX_MISNAMED = 100
"""Maximum number of files with a wrong suffix on the page."""

MODES = {
    "RGB": "colour",
    "L": "grey",
    "RGBA": "colour with transparency",
    "LA": "grey with transparency",
    "P": "palette of colours",
    "PA": "palette with transparency",
    "1": "black and white",
    "CMYK": "colour for print (CMYK)",
    "YCbCr": "colour (YCbCr)",
    "LAB": "colour (Lab)",
    "I;16": "grey, 16 bits",
    "I;16B": "grey, 16 bits",
    "I": "grey, 32 bits",
    "F": "grey, floating point",
    "RGB;16": "colour, 16 bits",
    "RGBA;16": "colour with transparency, 16 bits",
}
"""Names of Pillow's modes; other modes are their own name."""

ORIENTATIONS = {
    1: "upright",
    2: "mirrored",
    3: "upside down",
    4: "mirrored and upside down",
    5: "mirrored and turned to the left",
    6: "turned to the left",
    7: "mirrored and turned to the right",
    8: "turned to the right",
}
"""Positions of the stored pixels, by EXIF orientation."""

RATIOS = ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (3, 1))
"""Usual ratios of the longer to the shorter side."""


@dataclass(frozen=True)
class CountTable:
    """Names with counts, and the share of each count of the largest one."""

    title: str
    rows: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True)
class FileSummary:
    """Sizes, shapes and formats of the readable files of a dataset.

    Attributes
    ----------
    facts
        Names and values for the top of the page.
    note
        Sentences about all files.
    tables
        Counts by format, colours, orientation and size.
    charts
        Sizes, shapes and bytes; empty if the images were not read.
    misnamed
        Path, format by the suffix, and format of the content.
    counts
        The same numbers as JSON types.
    """

    facts: tuple[tuple[str, str], ...]
    note: str
    tables: tuple[CountTable, ...]
    charts: tuple[BarChart | PointMap, ...]
    misnamed: tuple[tuple[str, str, str], ...]
    counts: dict[str, Any]


def count_table(title: str, counts: Mapping[str, int]) -> CountTable:
    """Return the table of some counts, in their order."""
    most = max(counts.values(), default=1)
    return CountTable(title, tuple((name, n, n / most) for name, n in counts.items()))


def file_summary(names: Sequence[str], checked: CheckResult) -> FileSummary:
    """Return the sizes, shapes and formats of the files of n items; `names` are their ids."""
    files, sizes = checked.files, checked.sizes
    if files is None or sizes is None:
        formats = format_counts(names)
        note = "The images were not read: formats are those of the file names."
        return FileSummary((), note, (count_table("Formats", formats),), (), (), {})
    read = np.flatnonzero(files.n_bytes > 0)
    sizes, n_bytes = sizes[read].astype(np.int64), files.n_bytes[read]
    wrong = misnamed_rows(names, files)
    formats = _counted(_format(names[row], files.formats[row]) for row in read.tolist())
    modes = _counted(MODES.get(mode, mode) for mode in files.modes[read])
    stored = _counted(int(value) for value in files.orientations[read])
    groups = {_size_name(group.least, group.below): group.count for group in size_groups(sizes)}
    by_size = _counted(map(tuple, sizes.tolist()))
    tables = [count_table("Formats", formats), count_table("Colours", modes)]
    if set(stored) != {1}:
        turned = {ORIENTATIONS[value]: count for value, count in stored.items()}
        tables.append(count_table("Stored position (EXIF)", turned))
    tables.append(count_table("Shorter side", groups))
    charts = (_size_chart(by_size), _shape_chart(sizes), _bytes_chart(n_bytes))
    return FileSummary(
        facts=(
            ("size of the files", format_bytes(int(n_bytes.sum()))),
            ("most common size", _pixels(next(iter(by_size)))),
        )
        if by_size
        else (),
        note=_note(by_size, stored),
        tables=tuple(tables),
        charts=tuple(chart for chart in charts if chart is not None),
        misnamed=tuple(
            (names[row], format_of_name(names[row]), str(files.formats[row]))
            for row in wrong[:MAX_MISNAMED].tolist()
        ),
        counts={
            "bytes": int(n_bytes.sum()),
            "formats": formats,
            "modes": _counted(str(mode) for mode in files.modes[read]),
            "orientations": {str(value): count for value, count in stored.items()},
            "width": _range(sizes[:, 0]),
            "height": _range(sizes[:, 1]),
            "misnamed": int(wrong.size),
        },
    )


def _counted(values: Iterable[Any]) -> dict[Any, int]:
    """Return the count of each value, the most common first; ties are sorted by value."""
    counts: Counter[Hashable] = Counter(values)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _format(name: str, found: str) -> str:
    """Return the format of a file by its content, as its suffix writes it: PGM is a kind of PPM."""
    return "PGM" if found == "PPM" and format_of_name(name) == "PGM" else found


def _size_name(least: int, below: int | None) -> str:
    if below is None:
        return f"{least:,} pixels and more"
    return f"{least:,} to {below - 1:,} pixels" if least > 1 else f"less than {below:,} pixels"


def _pixels(size: tuple[int, int]) -> str:
    return "{:,} × {:,}".format(*size)


def _range(values: NDArray[np.int64]) -> dict[str, float] | None:
    """Return the smallest, the median and the largest value; None without values."""
    if not values.size:
        return None
    return {
        "min": int(values.min()),
        "median": float(np.median(values)),
        "max": int(values.max()),
    }


def _note(by_size: Mapping[tuple[int, int], int], stored: Mapping[int, int]) -> str:
    if len(by_size) == 1:
        sentences = [f"All images have {_pixels(next(iter(by_size)))} pixels."]
    else:
        common = list(by_size.items())[:3]
        shown = ", ".join(f"{_pixels(size)} ({plural(count, 'image')})" for size, count in common)
        sentences = [f"{len(by_size):,} sizes. The most common: {shown}."] if common else []
    turned = sum(count for value, count in stored.items() if value != 1)
    if turned:
        sentences.append(
            f"{plural(turned, 'image')} {'is' if turned == 1 else 'are'} stored turned or mirrored."
            " embedpipe turns all images upright."
        )
    return " ".join(sentences)


def _size_chart(by_size: Mapping[tuple[int, int], int]) -> PointMap | None:
    """Return the chart of widths and heights; None for a single size."""
    if len(by_size) < 2:
        return None
    shown = list(by_size.items())[:MAX_SIZES]
    note = "Each point is a size of images."
    if len(shown) < len(by_size):
        note += f" The {MAX_SIZES:,} most common of {len(by_size):,} sizes are shown."
    return point_map(
        [size[0] for size, _ in shown],
        [size[1] for size, _ in shown],
        "Width and height",
        note,
        groups=("sizes",),
        codes=[0] * len(shown),
        notes=[f"{_pixels(size)}: {plural(count, 'image')}" for size, count in shown],
        axes=("width in pixels", "height in pixels"),
    )


def _shape_chart(sizes: NDArray[np.int64]) -> BarChart | None:
    """Return the counts of images by the nearest usual ratio of sides; None for one ratio."""
    if not len(sizes):
        return None
    ratios = [(short, long) for long, short in reversed(RATIOS[1:])] + list(RATIOS)
    logs = np.array([math.log(width / height) for width, height in ratios])
    found = np.abs(np.log(sizes[:, :1] / sizes[:, 1:]) - logs).argmin(axis=1)
    counts = np.bincount(found, minlength=len(ratios))
    names = [f"{width}:{height}" for width, height in ratios]
    names[0] += " and narrower"
    names[-1] += " and wider"
    shown = slice(int(found.min()), int(found.max()) + 1)
    if counts.max() == counts.sum():
        return None
    return bar_chart(
        names[shown],
        counts[shown].tolist(),
        "Shape",
        "Width to height, by the nearest usual ratio.",
        unit="images",
    )


def _bytes_chart(n_bytes: NDArray[np.int64]) -> BarChart | None:
    """Return the counts of files between 1, 2, 5, 10, 20 … bytes; None for one interval."""
    if not n_bytes.size:
        return None
    edges = np.array([m * 10**power for power in range(10) for m in (1, 2, 5)])
    bins = np.searchsorted(edges, n_bytes, side="right") - 1
    low, high = int(bins.min()), int(bins.max())
    if low == high:
        return None
    counts = np.bincount(bins - low)
    names = [
        f"{format_bytes(int(edges[at]))} to {format_bytes(int(edges[at + 1]))}"
        for at in range(low, high + 1)
    ]
    return bar_chart(names, counts.tolist(), "Size of the files", unit="images")


def format_bytes(count: int) -> str:
    """Return a number of bytes with a unit.

    Examples
    --------
    >>> format_bytes(999), format_bytes(1500), format_bytes(20_000_000)
    ('999 B', '1.5 kB', '20 MB')
    """
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"
