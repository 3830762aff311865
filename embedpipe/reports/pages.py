"""Pages: one HTML file each that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from ..errors import UsageError
from .charts import COLOURS, DASHES, HeatMap, LineChart, Series, line_chart
from .check_report import ChecksData
from .comparison_report import ComparisonData
from .loop_report import Curve, ReportData, Round, write_headline
from .replay_report import ReplayData
from .sections import sections_of
from .selection_report import SelectionData
from .study_report import StudyData
from .thumbnails import KEEP_BELOW, Pick, media_type

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["write_checks", "write_comparison", "write_replay", "write_report", "write_selection"]

MOST_CURVES = 6
"""Maximum curves of a page of runs: its table has five columns for each."""


def write_report(path: str | Path, data: ReportData) -> Path:
    """Write a report as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        Where it goes; it is written whole or not at all.
    data
        What it shows.

    Returns
    -------
    Path
        The file. The same data give the same bytes. Its size is 4/3 of the thumbnails' plus about
        20 kB and 300 bytes for each pick.

    Raises
    ------
    UsageError
        If there is no curve to show, more than six, or two baselines, or if a thumbnail is not
        an image.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> rounds = (Round(0, 20, 0.61, 0.58, 0.01, 0.02, "random", (Pick("a.jpg", 0.5, "hat"),)),)
    >>> data = ReportData("clothing", (("items", "3,068"),), (Curve("random", rounds),))
    >>> with TemporaryDirectory() as folder:
    ...     "0.610 accuracy from 20 labels" in write_report(f"{folder}/r.html", data).read_text()
    True
    """
    _check(data)
    baseline = next((curve for curve in data.curves if curve.baseline), None)
    selected = next((curve for curve in data.curves if not curve.baseline), data.curves[0])
    headline = write_headline(selected, None if baseline is selected else baseline)
    charts = (
        line_chart(
            [_series(curve, "accuracy") for curve in data.curves],
            "Accuracy",
            bound=data.upper_bound,
            end_values=True,
        ),
        line_chart(
            [_series(curve, "macro_f1") for curve in data.curves], "Macro-F1", end_values=True
        ),
    )
    return _write(
        path,
        "loop.html.j2",
        data,
        *headline,
        charts=[chart for chart in charts if chart is not None],
        rounds=_aligned(data.curves),
    )


def write_selection(path: str | Path, data: SelectionData) -> Path:
    """Write a page of picks as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        Where it goes; it is written whole or not at all.
    data
        What it shows.

    Raises
    ------
    UsageError
        If the file cannot be written, or a thumbnail is not an image.

    Examples
    --------
    >>> picks = (Pick("a.jpg", 0.5),)
    >>> data = SelectionData("clothing", "coreset", (("items", "3,068"),), picks)
    >>> "1 image to label next" in write_selection(tmp / "picks.html", data).read_text()
    True
    """
    count = len(data.picks)
    comparison = f"Chosen by {data.strategy}."
    if data.groups:
        comparison += " Beside each: the images it stands for, nearest first."
    headline = f"{count:,} image{'' if count == 1 else 's'} to label next"
    return _write(path, "selection.html.j2", data, headline, comparison)


def write_comparison(path: str | Path, data: ComparisonData) -> Path:
    """Write the page of a comparison as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        Where it goes; it is written whole or not at all.
    data
        What it shows, from `comparison_of`.

    Raises
    ------
    UsageError
        If the file cannot be written.

    Examples
    --------
    >>> data = ComparisonData("digits", "margin: 0.913 mean accuracy", "", (), ())
    >>> "0.913 mean accuracy" in write_comparison(tmp / "report.html", data).read_text()
    True
    """
    return _write(path, "comparison.html.j2", data, data.result, data.comparison)


def write_replay(path: str | Path, data: ReplayData) -> Path:
    """Write the page of a replay study as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        Where it goes; it is written whole or not at all.
    data
        What it shows, from `replay_of`.

    Returns
    -------
    Path
        The file. The same data give the same bytes. Its size is about 25 kB, and 40 bytes for
        each cell of each accuracy matrix.

    Raises
    ------
    UsageError
        If the file cannot be written.

    Examples
    --------
    >>> data = ReplayData("digits", "random, 5 %: 0.913 accuracy in the end", "", (), (), ())
    >>> "0.913 accuracy in the end" in write_replay(tmp / "report.html", data).read_text()
    True
    """
    return _write(path, "replay.html.j2", data, data.result, data.comparison)


def write_checks(path: str | Path, data: ChecksData) -> Path:
    """Write the page of a check as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        Where it goes; it is written whole or not at all.
    data
        What it shows, from `checks_of`.

    Raises
    ------
    UsageError
        If the file cannot be written.

    Examples
    --------
    >>> data = ChecksData("shop", "All well", (("items", "12"),), (), (), (), ())
    >>> "All well" in write_checks(tmp / "checks.html", data).read_text()
    True
    """
    return _write(path, "checks.html.j2", data, data.headline)


def _write(
    path: str | Path, template: str, data: Any, headline: str, comparison: str = "", **more: Any
) -> Path:
    path = Path(path)
    page = (
        _environment()
        .get_template(template)
        .render(
            data=data,
            headline=headline,
            comparison=comparison,
            failures=data.failures if isinstance(data, StudyData) else (),
            sections=sections_of(data),
            **more,
        )
    )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def _check(data: ReportData) -> None:
    if not any(curve.rounds for curve in data.curves):
        raise UsageError("a report needs at least one curve with a round.")
    if len(data.curves) > MOST_CURVES:
        raise UsageError(f"a report shows at most {MOST_CURVES} curves, not {len(data.curves)}.")
    baselines = [curve.name for curve in data.curves if curve.baseline]
    if len(baselines) > 1:
        raise UsageError(
            f"a report has one baseline, not {len(baselines)}: {', '.join(baselines)}."
        )


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
    environment.globals.update(colours=COLOURS, dashes=DASHES)
    return environment


def _series(curve: Curve, metric: str) -> Series:
    """Return the rounds of a curve that have a metric."""
    values = [(entry.labelled, getattr(entry, metric)) for entry in curve.rounds]
    known = [(labelled, value) for labelled, value in values if value is not None]
    return Series(curve.name, [x for x, _ in known], [y for _, y in known])


def _aligned(curves: tuple[Curve, ...]) -> list[tuple[int, list[Round | None]]]:
    """Return the rounds of all curves side by side, by their number."""
    by_number = [{entry.round: entry for entry in curve.rounds} for curve in curves]
    numbers = sorted({number for rounds in by_number for number in rounds})
    return [(number, [rounds.get(number) for rounds in by_number]) for number in numbers]


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
    """Whether this is a PNG so small that its pixels should be shown as squares."""
    width, height = encoded[16:20], encoded[20:24]
    sides = int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return encoded.startswith(b"\x89PNG") and max(sides) <= KEEP_BELOW


def _caption(pick: Pick, rank: int) -> str:
    """Return what a pointer over a pick reads."""
    label = f" · {pick.label}" if pick.label is not None else ""
    return f"{rank}{label} · score {pick.score:.4g}\n{pick.id}"


def _counts(picks: tuple[Pick, ...]) -> str:
    """Return how often each label was picked, the most frequent first."""
    counts = Counter(pick.label for pick in picks if pick.label is not None)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{label} ×{count}" for label, count in ranked)
