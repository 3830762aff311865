"""The problems of an experiment, one for each dataset, backbone and seed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._files import locked
from .._workspace import Workspace
from ..active.problem import Problem
from ..embedding import Embeddings
from ..errors import RunError, UsageError
from .cells import NONE

__all__ = ["ProblemFactory", "Source", "Sources", "publish", "sources_of"]

ProblemFactory = Callable[[int], Problem]
"""Function from a seed to a problem."""

Sources = (
    Embeddings
    | Problem
    | Sequence[Embeddings | Problem]
    | Mapping[str, Embeddings]
    | Mapping[str, Problem]
    | Mapping[str, Embeddings | Problem | ProblemFactory]
    | Mapping[tuple[str, str], Embeddings | ProblemFactory]
)


@dataclass
class Source:
    """A dataset embedded with one backbone, and its problem for each seed."""

    dataset: str
    backbone: str
    given: Embeddings | Problem | ProblemFactory
    index: str = "exact"
    _problems: dict[int | None, Problem] = field(default_factory=dict)

    def problem(self, seed: int) -> Problem:
        """Return the problem of a seed."""
        key = None if self._is_shared else seed
        if key not in self._problems:
            self._problems[key] = self._make(seed)
        return self._problems[key]

    @property
    def _is_shared(self) -> bool:
        """Whether all seeds have the same problem: with one test split, or if it was given."""
        if isinstance(self.given, Embeddings):
            if self.given.dataset.division is not None:
                return False
            return any(i.split == "test" and i.label is not None for i in self.given.items)
        return isinstance(self.given, Problem)

    def _make(self, seed: int) -> Problem:
        if isinstance(self.given, Embeddings):
            return Problem.of(self.given, seed, self.index)
        problem: Any = self.given if isinstance(self.given, Problem) else self.given(seed)
        if not isinstance(problem, Problem):
            raise UsageError(
                f"the function given for {self.dataset!r} returned a {type(problem).__name__}: it "
                "must return a Problem."
            )
        return problem


def sources_of(given: Sources, index: str) -> list[Source]:
    """Return the sources of a grid; raise an error if two have the same name and backbone."""
    if isinstance(given, Mapping):
        sources = [_source(each, index, name) for name, each in given.items()]
    else:
        several = [given] if isinstance(given, (Embeddings, Problem)) else given
        sources = [_source(each, index) for each in several]
    if not sources:
        raise UsageError("there is no dataset to run on: give at least one.")
    names = [(source.dataset, source.backbone) for source in sources]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(
                f"two datasets have the name {name[0]!r} (backbone {name[1]!r}): give a dictionary "
                "with a name for each."
            )
    return sources


def _source(given: Any, index: str, key: str | tuple[str, str] | None = None) -> Source:
    name, backbone = key if isinstance(key, tuple) else (key, None)
    if isinstance(given, Embeddings):
        backbone = backbone or str(given.spec.backbone["architecture"])
        return Source(name or given.dataset.name, backbone, given, index)
    if isinstance(given, Problem) or (name is not None and callable(given)):
        return Source(name or given.name, backbone or NONE, given, index)
    raise UsageError(
        f"cannot run on a {type(given).__name__}: give embeddings, a Problem, or a dictionary. "
        "The values of a dictionary must be embeddings, Problem objects, or functions from a seed "
        "to a Problem."
    )


def publish(problem: Problem, workspace: Workspace) -> Path:
    """Return the folder of a problem for other processes; write it if it does not exist."""
    problems = workspace.root / "problems"
    folder = problems / f"{problem.digest[:32]}-{problem.index.kind}"
    try:
        problems.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {problems}: {error.strerror or error}.") from error
    with locked(problems):  # no process removes a folder that another process has just saved
        try:
            problem.save(folder)
            Problem.load(folder)
        except RunError:  # the folder is damaged or of another version, or the matrix has moved
            shutil.rmtree(folder, ignore_errors=True)
            problem.save(folder)
    return folder
