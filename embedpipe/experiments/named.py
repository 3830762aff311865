"""Names of experiments: a name stays with the runs that were done under it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from .._files import read_parquet
from ..errors import RunError, UsageError

__all__ = ["check_name", "check_not_another"]


def check_name(name: str | None) -> None:
    """Refuse a name that is not the name of a single folder.

    Raises
    ------
    UsageError
        If it is empty, names a folder elsewhere, or holds a separator of paths.

    Examples
    --------
    >>> check_name("margin-2026")
    """
    if name is None:
        return
    outside = not isinstance(name, str) or not name.strip() or name in (".", "..")
    if outside or any(sign in name for sign in "/\\\0"):
        raise UsageError(f"name is {name!r}: give the name of a folder, without a path.")


def check_not_another(folder: Path, runs: Collection[str], last: int | None = None) -> None:
    """Refuse to write over the results of other runs.

    Runs may be added to an experiment, and rounds; none may be lost.

    Parameters
    ----------
    folder
        Of the results of an experiment.
    runs
        The ids of its runs now.
    last
        Of experiments with rounds, the last round now.

    Raises
    ------
    RunError
        If the results there are of other runs, of more rounds, or cannot be read.
    """
    path = folder / "results.parquet"
    if not path.exists():
        return
    advice = "choose another name, or delete the folder"
    try:
        table = read_parquet(path)
        there = set(table.column("run_id").to_pylist())
        rounds = table.column("round").to_pylist() if last is not None else []
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{path} is not the results of such an experiment ({reason}): {advice}."
        ) from error
    others = sorted(there - set(runs))
    if others:
        raise RunError(
            f"the experiment {folder.name!r} holds {len(others)} runs that are not in this one, "
            f"such as {others[0]}: {advice}."
        )
    if last is not None and max(rounds, default=0) > last:
        raise RunError(
            f"the experiment {folder.name!r} has {max(rounds)} rounds, more than the {last} of "
            f"this one: {advice}."
        )
