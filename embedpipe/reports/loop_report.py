"""The data of the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._deprecated import old_attribute, old_parameters
from ..errors import UsageError
from .loop_picks import LoopPicks
from .pages import check_type
from .picks import Pick

if TYPE_CHECKING:
    from ..active import ActiveLoop, Problem, RoundRecord

__all__ = ["Curve", "ReportData", "Round", "advice_of", "report_of"]

RANDOM = "random"
"""Name of the strategy that selects at random."""

ADVICE = {
    "continue": "Advice: continue labelling.",
    "stop soon": "Advice: stop labelling soon.",
    "stop": "Advice: stop labelling.",
}
"""First sentence of the advice on stopping."""


@dataclass(frozen=True)
class Round:
    """One round of a loop: measures from 0 to 1 on the test images, seconds, and picks.

    Attributes
    ----------
    round, strategy
        Number of the round, and the strategy that selected its picks.
    labelled
        Number of labels after the round.
    accuracy, macro_f1, balanced_accuracy
        Measures on the test images; None if unknown.
    select_seconds, fit_seconds
        Seconds of selection and of training.
    picks
        The selected images.
    expected_accuracy, expected_accuracy_ci, rest_accuracy
        The expected accuracy on the images of the pool without a label, its 90 % interval, and the
        measured accuracy on these images; None if unknown.
    advice
        Advice on stopping after the round, or None.
    predicted
        (t,) int32 predicted class of each test image after the round, as a position in
        `ReportData.classes`; None if it was not stored.
    """

    round: int
    labelled: int
    accuracy: float | None
    macro_f1: float | None
    select_seconds: float
    fit_seconds: float
    strategy: str
    picks: tuple[Pick, ...] = ()
    expected_accuracy: float | None = None
    rest_accuracy: float | None = None
    balanced_accuracy: float | None = None
    expected_accuracy_ci: tuple[float, float] | None = None
    advice: str | None = None
    predicted: NDArray[np.int32] | None = field(default=None, repr=False, compare=False)

    @property
    def expected_text(self) -> str:
        """The expected accuracy with its 90 % interval as text; empty if it is unknown."""
        if self.expected_accuracy is None:
            return ""
        text = f"{self.expected_accuracy:.3f}"
        if self.expected_accuracy_ci is None:
            return text
        return f"{text} ({self.expected_accuracy_ci[0]:.3f} to {self.expected_accuracy_ci[1]:.3f})"


@dataclass(frozen=True)
class Curve:
    """The rounds of one loop, with the loop's name in the legend; `baseline` marks the baseline."""

    name: str
    rounds: tuple[Round, ...]
    baseline: bool = False


@old_parameters(upper_bound="upper_baseline")
@dataclass(frozen=True)
class ReportData:
    """The data of a report.

    Attributes
    ----------
    title, facts, command
        Name of the dataset, names and values below the headline, the command line.
    curves
        The selected strategy first; at most one curve is the baseline.
    upper_baseline
        Accuracy of the same model with all labels; None if unknown.
    advice
        Advice on stopping, or None.
    source
        The loops, for sections of other packages.
    details
        Names and values behind "Details", for example the strategy.
    classes
        Names of the classes.
    truth
        (t,) int32 class of each test image, as a position in `classes`; None if unknown.
    others
        (m, 2) float32 places of images on the map that were not picked; None without a map.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    command: str | None = None
    upper_baseline: float | None = None
    advice: str | None = None
    source: Any = field(default=None, repr=False, compare=False)
    details: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()
    truth: NDArray[np.int32] | None = field(default=None, repr=False, compare=False)
    others: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    upper_bound = old_attribute("upper_bound", "upper_baseline")


@old_parameters(upper_bound="upper_baseline")
def report_of(
    loops: Sequence[ActiveLoop],
    *,
    baseline: ActiveLoop | None = None,
    upper_baseline: float | None = None,
    command: str | None = None,
) -> ReportData:
    """Return the data of a report on loops.

    Parameters
    ----------
    loops
        At least one finished loop, all on the same problem; the headline is about the first.
        Without a dataset, picks are named by their rows and have no images. For the results of an
        experiment, use `comparison_of`.
    baseline
        Loop that the other loops are compared with.
    upper_baseline
        Accuracy of the model with all labels.
    command
        The command line.
    """
    _check_loops(loops)
    first = loops[0]
    problem = first.problem
    all_loops = [*loops, *([] if baseline is None else [baseline])]
    picks = LoopPicks.of(all_loops)
    curves = tuple(
        Curve(
            name=name,
            rounds=tuple(map(_round, loop.records, picks.of_loop(loop))),
            baseline=loop is baseline,
        )
        for loop, name in zip(all_loops, _curve_names(loops, baseline), strict=True)
    )
    classes = np.union1d(problem.oracle.classes, problem.test_labels)  # (C,)
    return ReportData(
        title=problem.name,
        facts=(
            ("images", f"{len(problem.matrix):,}"),
            ("classes", f"{_class_count(problem):,}"),
            ("images to label", f"{len(problem.candidates):,}"),
            ("test images", f"{len(problem.test_rows):,}"),
            *_target(problem),
        ),
        curves=curves,
        command=command,
        upper_baseline=upper_baseline,
        advice=_named_advice(first, several=len(loops) > 1),
        source=tuple(all_loops),
        details=(
            ("strategy", _strategies(first)),
            ("model", repr(first.head)),
            *_vectors(problem),
            ("copies of test images left out", f"{problem.copies_left_out:,}"),
            ("seed", str(first.options.seed)),
            *_changed_options(first),
        ),
        classes=tuple(str(label) for label in classes.tolist()),
        truth=np.searchsorted(classes, problem.test_labels).astype(np.int32),
        others=picks.others,
    )


def _check_loops(loops: Any) -> None:
    """Refuse anything but a list of at least one loop."""
    from ..active import ActiveLoop

    hint = "give a list of loops, or use `comparison_of` for the results of an experiment"
    check_type(loops, Sequence, hint)
    for loop in loops:
        check_type(loop, ActiveLoop, hint)
    if not loops:
        raise UsageError("there is no loop for the report: give at least one.")


def advice_of(loop: ActiveLoop) -> str | None:
    """Return the advice on stopping as text; None if the loop has none."""
    return _advice(loop.records[-1]) if loop.records else None


def _advice(record: RoundRecord) -> str | None:
    if not record.advice.get("reason"):
        return None
    return f"{ADVICE.get(record.advice['advice'], 'No advice yet.')} {record.advice['reason']}"


def _named_advice(loop: ActiveLoop, *, several: bool) -> str | None:
    """Return the advice on stopping, with the strategies if there are several loops."""
    advice = advice_of(loop)
    return f"{_strategies(loop)}. {advice}" if several and advice else advice


def _class_count(problem: Problem) -> int:
    if problem.embeddings is not None:
        return len(problem.embeddings.dataset.class_names)
    return len({*problem.oracle.classes.tolist(), *problem.test_labels.tolist()})


def _target(problem: Problem) -> list[tuple[str, str]]:
    """Return the size of the target, and how many of its images are test images."""
    if problem.target is None:
        return []
    tested, name = problem.test_items_in_target, problem.target.name
    note = f"; {tested:,} are test images" if tested else ""
    return [("target images", f"{len(problem.target):,} ({name}{note})")]


def _vectors(problem: Problem) -> list[tuple[str, str]]:
    if problem.embeddings is None:
        return [("vectors", f"{problem.matrix.shape[1]:,} dims")]
    spec = problem.embeddings.spec
    backbone = f"{spec.backbone['architecture']}, {spec.dim:,} dims"
    return [("backbone", backbone), ("precision", spec.precision)]


def _changed_options(loop: ActiveLoop) -> list[tuple[str, str]]:
    """Return names and values of options that differ from the defaults."""
    labelling, facts = loop.options.labelling, []
    if loop.options.mode != "cumulative":
        facts.append(("training mode", loop.options.mode))
    if loop.options.skip:
        facts.append(("skipped in each round", str(loop.options.skip)))
    if labelling.noise:
        facts.append(("wrong labels", f"{labelling.noise:.0%}, {labelling.kind}"))
    if labelling.abstain:
        facts.append(("unanswered", f"{labelling.abstain:.0%}"))
    return facts


def _strategies(loop: ActiveLoop) -> str:
    names = [str(loop.initial), str(loop.strategy)]
    return names[0] if names[0] == names[1] else f"{names[0]}, then {names[1]}"


def _curve_names(loops: Sequence[ActiveLoop], baseline: ActiveLoop | None) -> list[str]:
    """Return plain names for one loop, such as "suggested images"; strategies for several loops."""
    everything = [*loops, *([] if baseline is None else [baseline])]
    same_mode = len({loop.options.mode for loop in everything}) == 1
    if len(loops) == 1 and same_mode:
        random = {loop: _strategies(loop) == RANDOM for loop in everything}
        if baseline is None or (random[baseline] and not random[loops[0]]):
            return ["random images" if random[loop] else "suggested images" for loop in everything]
    names = [_strategies(loop) for loop in everything]
    if not same_mode:
        names = [f"{n} ({loop.options.mode})" for n, loop in zip(names, everything, strict=True)]
    return with_seeds(names, everything)


def with_seeds(names: list[str], loops: Sequence[ActiveLoop]) -> list[str]:
    """Return the names of loops, with the seeds if names are equal."""
    if len(set(names)) == len(names):
        return names
    return [f"{name}, seed {loop.options.seed}" for name, loop in zip(names, loops, strict=True)]


def _round(record: RoundRecord, picks: tuple[Pick, ...]) -> Round:
    return Round(
        round=record.round,
        labelled=record.labelled,
        accuracy=record.accuracy,
        macro_f1=record.macro_f1,
        select_seconds=record.select_seconds,
        fit_seconds=record.fit_seconds,
        strategy=record.strategy,
        picks=picks,
        expected_accuracy=record.expected_accuracy,
        rest_accuracy=record.rest_accuracy,
        balanced_accuracy=record.balanced_accuracy,
        expected_accuracy_ci=record.expected_accuracy_ci,
        advice=_advice(record),
        predicted=None if record.predictions is None else record.predictions.test,
    )
