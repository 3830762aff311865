"""Writes pages. A page is one HTML file that needs no other file."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from .._text import isolated
from ..errors import UsageError
from .charts import DASHES, PALETTE, Chart, HeatMap
from .interactive import figure_of
from .palettes import on_dark
from .picks import Pick
from .printed import VARIABLES, static_svg
from .sections import sections_of
from .thumbnails import data_uri, is_tiny

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["check_type", "plural", "write_page"]


LONG = 50_000
"""Number of characters from which the data of a figure are compressed."""


def write_page(
    path: str | Path,
    template: str,
    data: Any,
    headline: str,
    comparison: str = "",
    *,
    failures: Sequence[str] = (),
    details: Sequence[tuple[str, str]] = (),
    script: str = "",
    palette: Iterable[str] = (),
    **more: Any,
) -> Path:
    """Write a page, whole or not at all, and return its path; equal data give equal bytes.

    `script` is the name of the page's own script among the templates. It runs after the script of
    the charts, which sends the event ``charts-ready``. `palette` has the colours of users, which
    become lighter on dark pages.
    """
    path = Path(path)
    scripts = [_read(name) for name in ("charts.js", script) if name]
    own = {colour: f"--own{at}" for at, colour in enumerate(dict.fromkeys(palette))}
    variables = VARIABLES | own
    page = (
        _environment(variables)
        .get_template(template)
        .render(
            data=data,
            headline=headline,
            comparison=comparison,
            failures=failures,
            details=details,
            sections=sections_of(data),
            scripts=scripts,
            plotly=_plotly()[0],
            colours=variables,
            own=own,
            policy=" ".join([_plotly()[1], *map(_digest, scripts)]),
            **more,
        )
    )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


@cache
def _plotly() -> tuple[str, str]:
    """Return the script of plotly, compressed as base64, and the digest of the script."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs()
    return _packed(script, 9), _digest(script)


def _packed(text: str, level: int) -> str:
    """Return text compressed by gzip, as base64."""
    return b64encode(gzip.compress(text.encode(), compresslevel=level, mtime=0)).decode()


def _read(name: str) -> str:
    return files("embedpipe.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return the source expression that admits a script, for the page's security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def check_type(value: Any, kind: type, hint: str) -> None:
    """Refuse an argument that is not of type `kind`."""
    if not isinstance(value, kind):
        raise UsageError(f"expected {kind.__name__}, got {type(value).__name__}: {hint}.")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``"1 image"``, ``"2 images"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _environment(variables: Mapping[str, str]) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("embedpipe.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        metric=_metric,
        seconds=_seconds,
        image=data_uri,
        caption=_caption,
        counts=_counts,
        svg=partial(static_svg, variables=variables),
        variable=lambda colour: f"var({variables[colour]})" if colour in variables else colour,
        on_dark=on_dark,
        plotly=_plotly_source,
        script_json=_script_json,
    )
    environment.tests.update(
        tiny=is_tiny,
        heat_map=lambda chart: isinstance(chart, HeatMap),
        undefined_number=math.isnan,
    )
    environment.globals.update(n_colours=len(PALETTE), n_dashes=len(DASHES), plural=plural)
    return environment


def _plotly_source(chart: Chart) -> tuple[str, str]:
    """Return the interactive figure of a chart: JSON, or compressed JSON if it is long."""
    figure = figure_of(chart).to_plotly_json()
    text = _script_json({"data": figure["data"], "layout": figure["layout"]})
    if len(text) < LONG:
        return "application/json", text
    return "text/plain", _packed(text, 6)


def _script_json(value: Any) -> str:
    """Return JSON that is safe between script tags."""
    from plotly.utils import PlotlyJSONEncoder

    text = json.dumps(value, cls=PlotlyJSONEncoder, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _metric(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _caption(pick: Pick, rank: int) -> str:
    """Return the tooltip of a pick."""
    label = f" · {isolated(pick.label)}" if pick.label is not None else ""
    guesses = [
        f"predicted {when} the round: {isolated(guess.label)}, {guess.probability:.0%}"
        for when, guess in (("before", pick.before), ("after", pick.after))
        if guess is not None
    ]
    return "\n".join([f"{rank}{label} · score {pick.score:.4g}", *guesses, pick.id])


def _counts(picks: tuple[Pick, ...]) -> str:
    """Return the number of picks with each label, the most frequent first."""
    counts = Counter(pick.label for pick in picks if pick.label is not None)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{label} ×{count}" for label, count in ranked)
