"""What came out of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .._files import write_parquet
from ..errors import RunError

if TYPE_CHECKING:
    from .summary import Summary

__all__ = ["Failure", "Results", "write_tables"]


@dataclass(frozen=True)
class Failure:
    """What could not be done: what it was, why in one line, and the traceback if there is one."""

    what: str
    error: str
    trace: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


@dataclass(frozen=True)
class Results:
    """What came out of a grid.

    Attributes
    ----------
    table
        One row a round, as in ``results.parquet``; see ``docs/experiments.md`` for the columns.
    timings
        One row a round: how long choosing and fitting took.
    bounds
        The accuracy of each head with all labels, for each problem.
    baseline
        What chooses the first batch and the others in the baseline from its own start.
    failures
        What could not be done.
    folder
        Where the tables are written, or None.
    left_out
        By dataset and backbone: how many copies of test images are not chosen from, the least and
        the most over the seeds.
    """

    table: pa.Table = field(repr=False)
    timings: pa.Table = field(repr=False)
    bounds: pa.Table = field(repr=False)
    baseline: tuple[str, str]
    failures: tuple[Failure, ...] = ()
    folder: Path | None = None
    left_out: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict, repr=False)

    def to_pandas(self) -> Any:
        """Return `table` as a pandas data frame; pandas must be installed."""
        return self.table.to_pandas()

    def summary(
        self,
        target: float = 0.95,
        *,
        accuracy: float | None = None,
        budgets: Sequence[int] | None = None,
    ) -> Summary:
        """Return how good each strategy is, and whether it could be chance.

        Parameters
        ----------
        target
            Labels are counted to this share of the accuracy with all labels.
        accuracy
            If given, to this accuracy.
        budgets
            Numbers of labels at which the accuracy is told; by default four.

        Returns
        -------
        Summary
            ``str`` gives a table.

        Notes
        -----
        Intervals of means are bootstrap intervals (BCa) over the seeds; differences are paired by
        seed, their p-values those of the paired t-test, corrected by Holm's method for all rows
        of one dataset, backbone, head and mode. Every curve is what was measured, never a
        running maximum.
        """
        from .summary import summarise

        return summarise(self, target=target, accuracy=accuracy, budgets=budgets)

    def write(self) -> None:
        """Write the tables to `folder`, each whole or not at all.

        Raises
        ------
        RunError
            If they cannot be written.
        """
        if self.folder is not None:
            tables = {"results": self.table, "timings": self.timings, "bounds": self.bounds}
            write_tables(self.folder, tables)


def write_tables(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write tables to ``<name>.parquet`` in a folder, each whole or not at all.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    try:
        for name, table in tables.items():
            write_parquet(folder / f"{name}.parquet", table, compression="zstd")
    except OSError as error:
        raise RunError(
            f"cannot write the results to {folder}: {error.strerror or error}. The runs "
            "are whole; free space or permit writing, then run the same command again."
        ) from error
