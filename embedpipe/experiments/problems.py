"""The problems of an experiment, one for each dataset, backbone and seed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from .._files import locked
from .._workspace import Workspace
from ..active.problem import Problem, ProblemIdentity
from ..embedding import Embeddings
from ..errors import RunError, UsageError
from .cells import NONE

__all__ = [
    "ImbalancedEmbeddings",
    "PoolDraw",
    "Pools",
    "ProblemFactory",
    "SeedPool",
    "Source",
    "Sources",
    "TargetFactory",
    "TargetSize",
    "imbalanced",
    "publish",
    "sources_of",
]

ProblemFactory = Callable[[int], Problem]
"""Function from a seed to a problem."""

TargetFactory = Callable[[Embeddings], Any]
"""Function from the embeddings of a dataset to the argument of `Problem.with_target`."""


@dataclass(frozen=True)
class ImbalancedEmbeddings:
    """The embeddings of a dataset whose pool is made imbalanced for each seed."""

    embeddings: Embeddings = field(repr=False)
    long_tailed: float | None = None
    """Ratio of the largest to the smallest class; None to keep the sizes of the classes."""
    rare: tuple[tuple[str, int], ...] = ()
    """Pairs of a class and its number of candidates."""


Sources = (
    Embeddings
    | Problem
    | Sequence[Embeddings | Problem]
    | Mapping[str, Embeddings]
    | Mapping[str, Problem]
    | Mapping[str, Embeddings | Problem | ProblemFactory]
    | Mapping[tuple[str, str], Embeddings | ProblemFactory | ImbalancedEmbeddings]
)


@dataclass(frozen=True)
class PoolDraw:
    """How the pool of a seed is drawn from a problem, before it is made imbalanced."""

    share: float
    seed: int
    long_tailed: float | None = None
    rare: tuple[tuple[str, int], ...] = ()

    def of(self, problem: Problem) -> Problem:
        """Return the problem with the pool of the seed."""
        return imbalanced(
            problem.subsampled(self.share, self.seed), self.long_tailed, self.rare, self.seed
        )


@dataclass(frozen=True)
class TargetSize:
    """The target that the picks of a pool represent."""

    name: str
    items: int
    test_items: int
    """Number of its items that are test images."""

    @classmethod
    def of(cls, problem: Problem) -> TargetSize | None:
        """Return the target of a problem; None without a target."""
        if problem.target is None:
            return None
        return cls(problem.target.name, len(problem.target), problem.test_items_in_target)


@dataclass(frozen=True)
class SeedPool:
    """The pool of a seed: its identity and its size."""

    identity: ProblemIdentity
    size: int
    """Number of candidates in the pool."""
    of: int
    """Number of candidates from which the pool was drawn."""
    copies_left_out: int
    data: str
    """Digest of the data if rows have no item ids; otherwise blank."""
    target: TargetSize | None = None


@dataclass(frozen=True)
class Pools:
    """The pools of all seeds of a dataset."""

    share: float
    """Share of the candidates in the pool of each seed."""
    sizes: tuple[int, int]
    """Number of candidates in a pool: the minimum and the maximum over the seeds."""
    candidates: tuple[int, int]
    """Number of candidates from which a pool was drawn: the minimum and the maximum."""
    are_equal: bool
    """Whether all seeds have the same pool."""
    needed: int = 0
    """Number of labels after the last round."""
    target: TargetSize | None = None
    """The target of the first pool."""

    @classmethod
    def of(
        cls,
        share: float,
        pools: Sequence[tuple[str, int, int]],
        needed: int = 0,
        target: TargetSize | None = None,
    ) -> Pools:
        """Return the pools of several seeds; `pools` has their digests, sizes and `candidates`."""
        digests, sizes, candidates = zip(*pools, strict=True)
        return cls(
            share,
            (min(sizes), max(sizes)),
            (min(candidates), max(candidates)),
            are_equal=len(set(digests)) == 1,
            needed=needed,
            target=target,
        )

    @property
    def are_too_small(self) -> bool:
        """Whether a pool has too few candidates for all rounds, but all candidates are enough."""
        return self.sizes[0] < self.needed <= self.candidates[1]


@dataclass
class Source:
    """A dataset embedded with one backbone, and its pool for each seed.

    Pools are drawn again when they are needed; only their identities stay in memory.
    """

    dataset: str
    backbone: str
    given: Embeddings | Problem | ProblemFactory | ImbalancedEmbeddings
    index: str = "exact"
    pool_share: float = 1.0
    target: Any = None
    _wholes: dict[int | None, Problem] = field(default_factory=dict)
    _pools: dict[int, SeedPool] = field(default_factory=dict)
    _texts: dict[str, ArrayLike] = field(default_factory=dict)

    def whole(self, seed: int) -> Problem:
        """Return the problem from which the pool of a seed is drawn."""
        key = None if self._is_shared else seed
        if key not in self._wholes:
            if self._embeddings is not None:  # quick to make again: one problem stays in memory
                self._wholes.clear()
            self._wholes[key] = self._for_target(self._make(seed))
        return self._wholes[key]

    def draw(self, seed: int) -> PoolDraw:
        """Return how the pool of a seed is drawn from `whole`."""
        if isinstance(self.given, ImbalancedEmbeddings):
            return PoolDraw(self.pool_share, seed, self.given.long_tailed, self.given.rare)
        return PoolDraw(self.pool_share, seed)

    def pool(self, seed: int) -> SeedPool:
        """Return the identity and the size of the pool of a seed."""
        if seed not in self._pools:
            whole = self.whole(seed)
            drawn = self.draw(seed).of(whole)
            self._pools[seed] = SeedPool(
                drawn.identity,
                len(drawn.candidates),
                len(whole.candidates),
                whole.copies_left_out,
                data=whole.digest if whole.ids is None else "",
                target=TargetSize.of(whole),
            )
        return self._pools[seed]

    def texts(
        self, texts: Sequence[str], seed: int, workspace: Workspace
    ) -> Mapping[str, ArrayLike]:
        """Return the vectors of texts, by text; none for problems without a dataset."""
        new = [text for text in texts if text not in self._texts]
        if new:
            self._texts |= self.whole(seed).with_texts(new, workspace).texts
        return {text: self._texts[text] for text in texts if text in self._texts}

    @property
    def _embeddings(self) -> Embeddings | None:
        if isinstance(self.given, ImbalancedEmbeddings):
            return self.given.embeddings
        return self.given if isinstance(self.given, Embeddings) else None

    @property
    def _is_shared(self) -> bool:
        """Whether all seeds have the same problem: with one test split, or if it was given."""
        embeddings = self._embeddings
        if embeddings is None:
            return isinstance(self.given, Problem)
        if embeddings.dataset.division is not None:
            return False
        return any(i.split == "test" and i.label is not None for i in embeddings.items)

    def _make(self, seed: int) -> Problem:
        embeddings = self._embeddings
        if embeddings is not None:
            return Problem.of(embeddings, seed, self.index)
        given: Any = self.given
        problem = given if isinstance(given, Problem) else given(seed)
        if not isinstance(problem, Problem):
            raise UsageError(
                f"the function given for {self.dataset!r} returned a {type(problem).__name__}: it "
                "must return a Problem."
            )
        return problem

    def _for_target(self, problem: Problem) -> Problem:
        target = self.target
        if target is None:
            return problem
        if callable(target):
            if problem.embeddings is None:
                raise UsageError(
                    f"the target of {self.dataset!r} is a function: give embeddings of a dataset "
                    "instead of a Problem, or the vectors of the target."
                )
            target = target(problem.embeddings)
        return problem.with_target(target)


def imbalanced(
    problem: Problem, long_tailed: float | None, rare: Iterable[tuple[str, int]], seed: int
) -> Problem:
    """Return the problem with fewer candidates of some classes, drawn at random with `seed`."""
    if long_tailed is not None:
        problem = problem.long_tailed(long_tailed, seed)
    for label, count in rare:
        problem = problem.rare(label, count, seed)
    return problem


def sources_of(given: Sources, index: str, pool_share: float, target: Any = None) -> list[Source]:
    """Return the sources of a grid; raise an error if two have the same name and backbone."""
    if isinstance(given, Mapping):
        sources = [_source(each, index, pool_share, name) for name, each in given.items()]
    else:
        several = [given] if isinstance(given, (Embeddings, Problem)) else given
        sources = [_source(each, index, pool_share) for each in several]
    for source in sources:
        source.target = target
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


def _source(
    given: Any, index: str, pool_share: float, key: str | tuple[str, str] | None = None
) -> Source:
    name, backbone = key if isinstance(key, tuple) else (key, None)
    if isinstance(given, (Embeddings, ImbalancedEmbeddings)):
        embeddings = given if isinstance(given, Embeddings) else given.embeddings
        backbone = backbone or str(embeddings.spec.backbone["architecture"])
        return Source(name or embeddings.dataset.name, backbone, given, index, pool_share)
    if isinstance(given, Problem) or (name is not None and callable(given)):
        return Source(name or given.name, backbone or NONE, given, index, pool_share)
    raise UsageError(
        f"cannot run on a {type(given).__name__}: give embeddings, a Problem, or a dictionary. "
        "The values of a dictionary must be embeddings, Problem objects, or functions from a seed "
        "to a Problem."
    )


def publish(problem: Problem, workspace: Workspace) -> Path:
    """Return the folder of a problem for other processes; write it if it does not exist."""
    problems = workspace.root / "problems"
    # The digest covers the images, but not their vectors.
    identity = json.dumps(asdict(problem.identity), sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    folder = problems / f"{key}-{problem.index.kind}"
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
