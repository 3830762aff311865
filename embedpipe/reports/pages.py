"""Writes pages. A page is one HTML file that needs no other file."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from ..errors import UsageError
from .charts import COLOURS, DASHES, HeatMap, LineChart
from .sections import sections_of
from .thumbnails import KEEP_BELOW, Pick, media_type

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["check_type", "plural", "write_page"]


def write_page(
    path: str | Path,
    template: str,
    data: Any,
    headline: str,
    comparison: str = "",
    *,
    failures: Sequence[str] = (),
    details: Sequence[tuple[str, str]] = (),
    **more: Any,
) -> Path:
    """Write a page, whole or not at all, and return its path; equal data give equal bytes."""
    path = Path(path)
    page = (
        _environment()
        .get_template(template)
        .render(
            data=data,
            headline=headline,
            comparison=comparison,
            failures=failures,
            details=details,
            sections=sections_of(data),
            **more,
        )
    )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def check_type(value: Any, kind: type, hint: str) -> None:
    """Refuse an argument that is not of type `kind`."""
    if not isinstance(value, kind):
        raise UsageError(f"expected {kind.__name__}, got {type(value).__name__}: {hint}.")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``"1 image"``, ``"2 images"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("embedpipe.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        metric=_metric, seconds=_seconds, image=_data_uri, caption=_caption, counts=_counts
    )
    environment.tests.update(
        tiny=_is_tiny,
        line_chart=lambda chart: isinstance(chart, LineChart),
        heat_map=lambda chart: isinstance(chart, HeatMap),
    )
    environment.globals.update(colours=COLOURS, dashes=DASHES, plural=plural)
    return environment


def _metric(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _data_uri(encoded: bytes) -> str:
    """Return an encoded image as a data: URI."""
    kind = media_type(encoded)
    if kind is None:
        raise UsageError("a thumbnail must be an encoded PNG, JPEG, WebP or GIF image.")
    return f"data:{kind};base64,{b64encode(encoded).decode()}"


def _is_tiny(encoded: bytes) -> bool:
    """Whether this is a small PNG whose pixels are shown as squares."""
    width, height = encoded[16:20], encoded[20:24]
    sides = int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return encoded.startswith(b"\x89PNG") and max(sides) <= KEEP_BELOW


def _caption(pick: Pick, rank: int) -> str:
    """Return the tooltip of a pick."""
    label = f" · {pick.label}" if pick.label is not None else ""
    return f"{rank}{label} · score {pick.score:.4g}\n{pick.id}"


def _counts(picks: tuple[Pick, ...]) -> str:
    """Return the number of picks with each label, the most frequent first."""
    counts = Counter(pick.label for pick in picks if pick.label is not None)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{label} ×{count}" for label, count in ranked)
