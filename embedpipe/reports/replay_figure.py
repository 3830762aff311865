"""The curves of a replay study, for print."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .._files import write_atomically
from ..errors import UsageError
from .of_experiments import _STYLE, COLOURS, DASHES, check_figure
from .replay import ReplayData

__all__ = ["write_replay_figure"]


def write_replay_figure(path: str | Path, data: ReplayData) -> Path:
    """Draw the accuracy after each experience: means over the seeds with 95 % intervals.

    Parameters
    ----------
    path
        A ``.pdf``, ``.svg`` or ``.png`` file; written whole or not at all.
    data
        What the page of the study shows, from `replay_of`.

    Returns
    -------
    Path
        The file; the same data give the same bytes with the same version of matplotlib.

    Raises
    ------
    UsageError
        If there is nothing to draw, the suffix is another one, or the file cannot be written.
    """
    path = Path(path)
    check_figure(path)
    if not data.groups:
        raise UsageError("there is nothing to draw: no run is finished.")
    sink = io.BytesIO()
    _draw(data, sink, path.suffix.lower()[1:])
    try:
        write_atomically(path, sink.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def _draw(data: ReplayData, sink: io.BytesIO, kind: str) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = min(len(data.groups), 3)
    rows = -(-len(data.groups) // columns)
    with rc_context(_STYLE):
        figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, group in zip(axes, data.groups, strict=False):
            for at, band in enumerate(group.curves):
                if band is None:  # learned at once: there is one accuracy, and no curve
                    continue
                look: dict[str, Any] = {
                    "color": COLOURS[at % len(COLOURS)],
                    "linestyle": DASHES[at // len(COLOURS) % len(DASHES)],
                }
                axis.fill_between(
                    band.labelled, band.low, band.high, alpha=0.15, color=look["color"]
                )
                axis.plot(band.labelled, band.middle, label=band.name, **look)
            if group.bound is not None:
                axis.axhline(group.bound, label="joint", color="0.4", linestyle=":", linewidth=1.0)
            axis.set_title(group.title, fontsize=9)
            axis.set_xlabel("experiences learned")
            axis.set_ylabel("accuracy")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend(loc="best")
        for axis in axes[len(data.groups) :]:
            axis.set_axis_off()
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        figure.savefig(sink, format=kind, dpi=300, metadata=metadata)
