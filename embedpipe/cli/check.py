"""Command ``check``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import option
from .._text import printable
from .label_log import GivenLabels, KnownLabels
from .options import EmbedArguments, ImagesWithLabels, LabelSourceOrOwn
from .session import Session

if TYPE_CHECKING:
    from ..checks import CheckResult
    from ..embedding import Embeddings

__all__ = ["CheckOptions", "check"]

_STAGES = {"look": "Reading images", "neighbours": "Comparing vectors"}


@dataclass(frozen=True)
class CheckOptions:
    """Options of the checks."""

    pixels: bool = option(
        True,
        "Read the images again, to find tiny and blank images and to compare the pixels of "
        "possible copies",
    )
    index: str = option(
        "auto",
        "Index for nearest neighbours: exact, ivf, hnsw, or auto (exact up to 100,000 images)",
    )

    def check(self) -> None:
        """Refuse an unknown kind of index."""
        from ..index import check_kind

        if self.index != "auto":
            check_kind(self.index)

    def run(self, session: Session, embeddings: Embeddings, known: KnownLabels) -> CheckResult:
        """Run all checks, and show the progress."""
        from ..checks import check as run_checks

        with session.counting() as update:
            return run_checks(
                embeddings,
                labels=known.labels,
                pixels=self.pixels,
                index=self.index,
                progress=lambda stage, done, total: update(done, total, _STAGES[stage]),
            )


def check(
    session: Session,
    data: ImagesWithLabels,
    embed_options: EmbedArguments,
    labels: LabelSourceOrOwn,
    options: CheckOptions,
    report: Annotated[
        Path | None,
        typer.Option(help="File for an HTML page with the results", show_default=False),
    ] = None,
) -> None:
    """Find duplicates, outliers, likely wrong labels, and tiny, blank or unreadable images.

    The command changes no file of the dataset.
    """
    from ..checks import as_dict

    options.check()
    given = GivenLabels(session, labels)
    embeddings = session.embed(data, embed_options, uses_classes=True, again=True)
    known = given.or_true(embeddings)
    started = time.monotonic()
    checked = options.run(session, embeddings, known)
    result = as_dict(embeddings, checked)
    result |= known.facts()
    result["seconds"] = round(time.monotonic() - started, 4)
    if report is not None:
        from ..reports import checks_of, write_checks

        page = checks_of(embeddings, checked, command=session.typed)
        result["report"] = str(write_checks(report, page))
    session.finish(result, _text(result))


_LINES = {
    "duplicates": "groups of files with the same bytes",
    "near_duplicates": "groups of different files with the same picture",
    "leakage": "groups of copies in more than one split",
    "label_errors": "likely wrong labels",
    "outliers": "outliers: images that differ from all other images",
    "tiny": "tiny images",
    "blank": "blank images",
    "failed": "unreadable images",
}

_MAX_NAMED = 5
"""Maximum entries of each kind in the text; JSON and the page contain all."""


def _text(result: dict[str, Any]) -> str:
    """Return the results as text, with the first entries of each kind."""
    lines = []
    for key, meaning in _LINES.items():
        if key in result["not_checked"]:
            lines.append(f"    –  {meaning}: not checked, {result['not_checked'][key]}")
            continue
        lines.append(f"{len(result[key]):>5}  {meaning}{_checked_labels(key, result)}")
        lines += [f"         {printable(_named(entry))}" for entry in result[key][:_MAX_NAMED]]
        if len(result[key]) > _MAX_NAMED:
            lines.append(f"         … and {len(result[key]) - _MAX_NAMED} more")
    lines += map(printable, _imbalance(result["imbalance"]))
    lines += map(printable, _remarks(result["remarks"]))
    if "report" in result:
        lines.append(f"report: {result['report']}")
    return "\n".join(lines)


def _checked_labels(key: str, result: dict[str, Any]) -> str:
    """Return the number of checked labels, if some were not checked."""
    judged, labelled = result["judged"], result["labelled"]
    if key != "label_errors" or judged == labelled:
        return ""
    rest = labelled - judged
    return f" ({judged:,} of {labelled:,} checked; {rest:,} without a second image of their class)"


def _named(entry: dict[str, Any]) -> str:
    if "items" in entry:
        return "  ".join(entry["items"])
    if "suggested" in entry:
        return (
            f"{entry['id']}: {entry['label']}, or {entry['suggested']}? "
            f"(probability {entry['label_probability']:.2f} against "
            f"{entry['suggested_probability']:.2f})"
        )
    if "error" in entry:
        return f"{entry['id']}: {entry['error']}"
    if "width" in entry:
        return f"{entry['id']}: {entry['width']} x {entry['height']}"
    return str(entry["id"])


def _remarks(found: list[dict[str, str]]) -> list[str]:
    if not found:
        return []
    lines = [f"{len(found):>5}  remarks on readable images"]
    lines += [f"         {entry['path']}: {entry['remark']}" for entry in found[:_MAX_NAMED]]
    if len(found) > _MAX_NAMED:
        lines.append(f"         … and {len(found) - _MAX_NAMED} more")
    return lines


def _imbalance(found: dict[str, Any]) -> list[str]:
    if not found["classes"]:
        return []
    names = list(found["classes"])
    lines = [
        f"{len(names):>5}  classes: {names[0]} has {found['classes'][names[0]]} items, "
        f"{names[-1]} {found['classes'][names[-1]]} (ratio {found['ratio']:.1f})"
    ]
    if found["rare"]:
        lines.append(f"         rare: {', '.join(found['rare'])}")
    lines += [
        f"         no {entry['label']} in the {entry['split']} split" for entry in found["missing"]
    ]
    return lines
