"""Replay studies: grids of continual-learning loops over streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from .._deprecated import old_parameters
from .._options import ReplayFields, check_pool_share
from .._specs import format_spec
from .._workspace import Workspace
from ..continual import (
    NO_BUFFER,
    ContinualLoop,
    ContinualOptions,
    Method,
    Policy,
    Stream,
    get_method,
    get_policy,
    size_of,
)
from ..errors import UnknownNameError, UsageError
from ..heads import get_head
from .cells import REFERENCE_METHODS, Cell, ReplaySetting
from .options import check_name, check_seeds, several
from .problems import Pools
from .replay_results import ReplayResults
from .run_files import count_experiences, read_experiences
from .study import Extent, Failure, OnProgress, OnRun, Study, Task
from .workers import Work

__all__ = ["REFERENCE_METHODS", "ReplayOptions", "ReplaySetting", "ReplayStudy"]

Streams = Stream | Callable[[int], Stream]


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(ReplayFields):
    """The checked options of a `ReplayStudy`."""

    def __post_init__(self) -> None:
        check_name(self.name)
        check_pool_share(self.pool_share)
        unknown = sorted(set(self.reference_methods) - set(REFERENCE_METHODS))
        if unknown:
            raise UnknownNameError("reference method", unknown[0], REFERENCE_METHODS)
        check_seeds(self.seeds)
        self._check_methods()
        for head in self.heads:
            self._variants(head)  # raises if an option is invalid

    def _check_methods(self) -> None:
        """Refuse a method that no head supports; replay is left out where it is not needed."""
        heads = [get_head(head) for head in several(self.heads, "heads")]
        for method in self._methods:
            if method.name != "replay" and not any(_supports(method, head) for head in heads):
                method.check_head(heads[0])
            if method.replays and method.name != "replay" and not self._policies:
                raise UsageError(
                    f"method {method.name!r} needs a buffer, and policy 'none' has none: use "
                    "method 'naive', or a policy such as random."
                )

    def _variants(self, head: str) -> list[tuple[ReplaySetting, ContinualOptions]]:
        """Return the settings of a head, each without a stream, with the options of the loop."""
        classifier = get_head(head)
        common = ContinualOptions(
            head=classifier,
            method="joint",
            mix=self.mix,
            budget=self.budget,
            strategy=self.strategy,
        )
        variants: dict[ReplaySetting, ContinualOptions] = {}

        def add(method: Method, policies: Sequence[Policy] = ()) -> None:
            name = format_spec(method)
            if not _supports(method, classifier):
                return
            if not method.replays:
                variants.setdefault(ReplaySetting("", head, name), replace(common, method=method))
                return
            for policy, (written, retain) in product(policies, self._sizes.items()):
                if method.fills_first and policy.needs_probabilities and len(policies) > 1:
                    continue  # the buffer is filled before there are predictions
                setting = ReplaySetting("", head, name, format_spec(policy), written)
                options = replace(common, method=method, policy=policy, retain=retain)
                variants.setdefault(setting, options)

        for method in self._methods:
            add(method, self._policies)
        add(get_method("replay"), [self._baseline])
        exact = getattr(classifier, "exact_on_streams", False)
        lower = exact or NO_BUFFER in self.policies
        for name in REFERENCE_METHODS:
            if name in self.reference_methods or (lower and name == "naive"):
                add(get_method(name))
        if not variants:
            raise UsageError(
                f"the head {head!r} has no partial_fit, so it cannot learn with replay: use the "
                "reference methods cumulative or joint, or another head."
            )
        return list(variants.items())

    @property
    def _methods(self) -> list[Method]:
        """The methods, without the reference methods."""
        given = several(self.methods, "methods")
        return [each if isinstance(each, Method) else get_method(each) for each in given]

    @property
    def _baseline(self) -> Policy:
        """The policy that the others are compared with."""
        return self.baseline if isinstance(self.baseline, Policy) else get_policy(self.baseline)

    @cached_property
    def _sizes(self) -> dict[str, float | int]:
        """The buffer sizes, by their text in the tables of results."""
        sizes: dict[str, float | int] = {}
        for given in several(self.retains, "retains"):
            size_of(given)  # raises if the size is invalid
            retain = given.item() if hasattr(given, "item") else given
            sizes[json.dumps(retain)] = retain
        return sizes

    @cached_property
    def _policies(self) -> list[Policy]:
        """The given policies."""
        policies: dict[str, Policy] = {}
        for each in several(self.policies, "policies"):
            if each != NO_BUFFER:
                policy = get_policy(each) if isinstance(each, str) else each
                policies.setdefault(format_spec(policy), policy)
        return list(policies.values())


def _supports(method: Method, head: object) -> bool:
    """Return whether a head supports a method."""
    try:
        method.check_head(head)
    except UsageError:
        return False
    return True


@old_parameters(bounds="reference_methods")
@dataclass(frozen=True)
class ReplayStudy(ReplayOptions, Study[ReplayResults]):
    """A grid of continual-learning loops: every policy and method on every stream with every seed.

    Cells run in parallel and continue as in an `Experiment`.

    Parameters
    ----------
    streams
        A stream, a function from a seed to a stream, or a dictionary of these by name.
    methods
        Methods of continual learning: spec strings or instances, such as ``"ewc(strength=10)"``.
        Methods with a buffer (``replay``, ``gdumb``, ``der``, ``agem``) run with every policy and
        size. A head runs the methods that it supports.
    policies
        Replay policies: spec strings or instances. ``"none"`` adds the reference method ``naive``.
    retains
        Buffer sizes: shares of each experience (float) or total numbers of rows (int).
    heads
        Spec strings. Heads with ``partial_fit`` run with every policy and size. Heads without
        ``partial_fit`` run with reference methods only. Heads with exact incremental updates need
        no buffer and run as ``naive``.
    reference_methods
        Methods without a buffer: any of ``naive``, ``cumulative`` and ``joint``.
    seeds, workspace, name
        See `Experiment`.
    pool_share
        Share of the training rows of each experience that a seed uses. Each seed draws its own rows
        at random, the same for all policies, methods, sizes and heads, see `Stream.subsampled`.
        With 1, every seed uses all training rows.
    mix, budget, strategy
        See `ContinualOptions`.
    baseline
        The policy of method ``replay`` that all others are compared with, at the same buffer size.
        It is always included.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> study = ReplayStudy(
    ...     lambda seed: ep.Stream.of(digits, "order", n=3, seed=seed),
    ...     policies=["random"], retains=[0.05], reference_methods=["joint"], seeds=1,
    ...     workspace=tmp,
    ... )
    >>> for cell in study.cells():
    ...     print(cell)
    digits-order3: logistic, random, 5 %; seed 0
    digits-order3: logistic, joint; seed 0
    >>> study.run(workers=0).table.num_rows
    4
    """

    streams: Streams | Mapping[str, Streams]
    _: KW_ONLY
    workspace: str | Path | Workspace | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._entries, self._workspace  # raises if an option is invalid

    def cells(self) -> list[Cell[ReplaySetting]]:
        """Return the cells, ordered by stream, head, method, policy, size and seed."""
        return list(self._entries)

    def run(
        self,
        workers: int | None = None,
        progress: OnProgress | None = None,
        on_run: OnRun | None = None,
        *,
        executor: str = "local",
        address: str | None = None,
    ) -> ReplayResults:
        """Run all unfinished cells and return the results; see `Experiment.run`."""
        return self._run(workers, progress, on_run, executor=executor, address=address)

    # The methods that `Study` requires

    def _extent(self, cell: Cell[ReplaySetting]) -> Extent:
        done = count_experiences(self._workspace.runs / cell.run_id)
        joint = cell.setting.method == "joint"
        return Extent(done, 1 if joint else len(self._stream(cell).learned))

    def _tasks(self, left: Sequence[Cell[ReplaySetting]]) -> list[Task]:
        return [Task(str(cell), self._cell_task(cell), cell) for cell in left]

    def _gather(
        self, done: list[Cell[ReplaySetting]], failures: tuple[Failure, ...]
    ) -> ReplayResults:
        runs = self._workspace.runs
        return ReplayResults.of(
            [(cell, self._stream(cell), read_experiences(runs / cell.run_id)) for cell in done],
            pools=self._pools,
            baseline=format_spec(self._baseline),
            failures=failures,
            folder=self.folder,
        )

    @property
    def _work(self) -> Work:
        return _work

    @property
    def _shared(self) -> dict[tuple[str, int], Stream]:
        return self._seeded_streams

    @property
    def _data_names(self) -> list[str]:
        return [name for name, _ in self._seeded_streams]

    # The grid

    @cached_property
    def _seeded_streams(self) -> dict[tuple[str, int], Stream]:
        """The streams by name and seed, each with the training rows that its seed uses."""
        return {key: drawn for key, (drawn, _) in self._drawn_streams.items()}

    @cached_property
    def _drawn_streams(self) -> dict[tuple[str, int], tuple[Stream, int]]:
        """The streams with the rows of their seed, and how many rows these were drawn from."""
        given = self.streams if isinstance(self.streams, Mapping) else {"": self.streams}
        streams = {}
        for (name, source), seed in product(given.items(), check_seeds(self.seeds)):
            whole = source if isinstance(source, Stream) else source(seed)
            drawn = whole.subsampled(self.pool_share, seed)
            streams[name or whole.name, seed] = drawn, whole.n_learned
        return streams

    @property
    def _pools(self) -> dict[str, Pools]:
        """The training rows of the seeds, by stream."""
        found: dict[str, list[tuple[str, int, int]]] = {}
        for (name, _), (drawn, of) in self._drawn_streams.items():
            found.setdefault(name, []).append((drawn.digest, drawn.n_learned, of))
        return {name: Pools.of(self.pool_share, pools) for name, pools in found.items()}

    def _stream(self, cell: Cell[ReplaySetting]) -> Stream:
        return self._seeded_streams[cell.setting.stream, cell.seed]

    @cached_property
    def _entries(self) -> dict[Cell[ReplaySetting], ContinualOptions]:
        """The cells, ordered by stream, head, method, policy, size and seed, with their options."""
        variants = {head: self._variants(head) for head in self.heads}
        entries = {}
        for name, head in product(dict.fromkeys(self._data_names), self.heads):
            for (setting, options), seed in product(variants[head], check_seeds(self.seeds)):
                stream = self._seeded_streams[name, seed]
                seeded = replace(options, seed=seed)
                seeded.check_fits({e.name: e.train.size for e in stream.learned})
                run_id = seeded.run_id(stream.identity)
                entries[Cell(replace(setting, stream=name), seed, run_id)] = seeded
        return entries

    def _cell_task(self, cell: Cell[ReplaySetting]) -> Callable[[], ReplayTask]:
        key = cell.setting.stream, cell.seed
        return lambda: ReplayTask(key, self._entries[cell], self._workspace.root)


# In the workers


@dataclass(frozen=True)
class ReplayTask:
    """A run to start or continue."""

    stream: tuple[str, int]
    """Name and seed: the key of the stream in the data that all tasks share."""
    options: ContinualOptions
    workspace: Path


def _work(
    streams: Mapping[tuple[str, int], Stream], task: ReplayTask
) -> Generator[tuple[int, float], None, None]:
    """Do a task; yield the number and the seconds of each new experience."""
    loop = ContinualLoop(streams[task.stream], options=task.options, workspace=task.workspace)
    assert loop.folder is not None
    stored = count_experiences(loop.folder)
    for number, record in enumerate(loop.run()):
        if number >= stored:
            yield number, record.select_seconds + record.fit_seconds
