"""`embed`: the vectors of a dataset, computed or from the cache."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._options import EmbedOptions, check_executor
from .._text import sentence_about
from .._versions import versions
from .._workspace import Workspace
from ..backbones import RUNTIMES, resolve_runtime
from ..cache import CONTENT_ID, AnyStore, Failure, Spec, Store, open_matrix, open_store
from ..datasets import Dataset, load_dataset
from ..errors import BackboneError, DatasetError, NotCachedError, ReadOnlyError, UsageError
from .cluster import FillCounts, RayExecutor, fill_only
from .embeddings import Embeddings, EmbedReport, Remark
from .encoding import Encoding
from .filling import Filler, FillResult, copy_older_vectors, older_stores, together
from .imported_names import is_imported
from .imports import add_imported
from .parts import Part, joined_spec, one_of_each, parts_of, precision_of
from .scan import Progress, Scan, scan
from .vector_files import VectorSource

__all__ = ["embed", "embed_each", "embed_scanned", "fill_folder", "runtime_of"]


def embed(
    dataset: Dataset | str | Path | Sequence[str | Path],
    *,
    workspace: str | Path | Workspace | None = None,
    progress: Progress | None = None,
    options: EmbedOptions | None = None,
    **changes: object,
) -> Embeddings:
    """Embed the images of a dataset; vectors in the cache are reused.

    A killed call can be repeated, and several processes can embed at once.

    Parameters
    ----------
    dataset
        A dataset, or an argument for `load_dataset`, such as a folder or a list of image files.
    workspace
        Folder of the cache; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``.
    progress
        Function that takes the stage (``"scan"``, ``"embed"``), the number of finished items, and
        the total number.
    options
        Options of embedding.
    **changes
        Options that replace those in `options`, by name: ``backbone="timm:resnet18"``.

    Returns
    -------
    Embeddings
        A memory-mapped float32 matrix with a row for each item that has a vector.

    Raises
    ------
    DatasetError
        If no image can be embedded.
    BackboneError
        If the backbone's weights are missing.
    CacheError
        If the cache is damaged or cannot be written.
    NotCachedError
        If an image has no vector and `require_cached` is set.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> first = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> again = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> first.report.embedded, again.report.embedded, again.report.reused
    (397, 0, 397)
    """
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset)
    options = _with_changes(options or EmbedOptions(), changes)
    return embed_scanned(dataset, Workspace(workspace), options, progress)


def embed_scanned(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    progress: Progress | None = None,
    earlier: Scan | None = None,
) -> Embeddings:
    """Embed the images of a dataset, with the result of an earlier scan that was not stored."""
    (embeddings,) = _embed(dataset, workspace, options, [options], progress, earlier)
    return embeddings


def embed_each(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    progress: Progress | None = None,
    earlier: Scan | None = None,
) -> list[Embeddings]:
    """Embed with each backbone of a list ``A,B``; an image is read and decoded once for all."""
    return _embed(dataset, workspace, options, one_of_each(options), progress, earlier)


def _embed(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    requests: Sequence[EmbedOptions],
    progress: Progress | None,
    earlier: Scan | None,
) -> list[Embeddings]:
    """Embed for several requests, which differ in their backbones."""
    started = time.monotonic()
    _check(options)
    if is_imported(options):
        return [_with_imported(dataset, workspace, options, progress, earlier)]
    choices = [_Choice(workspace, each) for each in requests]
    part = _only_part(options, choices) if options.executor == "ray" else choices[0].parts[0]
    for choice in choices:
        if choice.is_sure and not options.require_cached:
            choice.create()  # raises before the scan if the workspace is read-only
    notes: list[str] = []
    cluster = RayExecutor(options, part.backbone, part.preprocess, dataset.source, progress)
    with cluster:
        scanned = _scan(dataset, workspace, options, choices[0], cluster, progress, earlier)
        if not scanned.remembered:
            notes.append(f"{workspace} is read-only: the scan of this dataset is not stored")
        fillings: dict[str, _Filling] = {}  # by spec id
        for choice in choices:
            choice.decide(workspace, scanned.content_ids, notes)
            for part, store in zip(choice.parts, choice.stores, strict=True):
                filling = _Filling(part, store, cluster.filled)
                choice.fillings.append(fillings.setdefault(store.spec.id, filling))
        for filling in fillings.values():
            filling.find_wanted(dataset, workspace, scanned, options.retry_failed, progress)
        for choice in choices:
            wanted = _union(dataset, choice.fillings)
            if wanted and options.require_cached:
                raise _not_cached(dataset, scanned, wanted, choice.store)
            if len(choice.fillings) > 1:
                choice.missing = choice.store.missing(scanned.content_ids)
        todo = [filling for filling in fillings.values() if filling.wanted]
        for filling in todo:
            filling.prepare(options, notes)
        total = cluster.filled
        while todo:
            total = total.plus(_fill(dataset, scanned, todo, cluster, options, progress))
            todo = [filling for filling in todo if filling.wanted]
    outcomes = [choice.outcome(scanned) for choice in choices]
    return [_gather(dataset, workspace, each, scanned, total, started, notes) for each in outcomes]


def _with_imported(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    progress: Progress | None,
    earlier: Scan | None,
) -> Embeddings:
    """Return the imported vectors of a dataset, after an import of new ones."""
    started = time.monotonic()
    if options.vectors is not None:
        VectorSource.of(options.vectors).check()  # before the scan, which may take long
    can_store = workspace.exists() or not options.require_cached
    scanned = scan(dataset, workspace, progress, earlier=earlier, store=can_store)
    found = add_imported(dataset, workspace, options, scanned, progress)
    outcome = _Outcome(found.store, (found.store,), found.result, None)
    notes = list(found.notes)
    return _gather(dataset, workspace, outcome, scanned, found.result, started, notes)


def _scan(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    choice: _Choice,
    cluster: RayExecutor,
    progress: Progress | None,
    earlier: Scan | None,
) -> Scan:
    """Scan the dataset here, or on a Ray cluster, which also embeds new images if it can."""
    digests = None
    if options.executor == "ray" and not options.require_cached:
        store = choice.known_store(workspace)
        runtime = "auto" if store is None else runtime_of(store, options.runtime, [])
        digests = partial(cluster.digests, store=store, runtime=runtime)
    return scan(
        dataset,
        workspace,
        None if digests else progress,
        earlier=earlier,
        store=workspace.exists() or not options.require_cached,
        digests=digests,
    )


def _fill(
    dataset: Dataset,
    scanned: Scan,
    fillings: Sequence[_Filling],
    cluster: RayExecutor,
    options: EmbedOptions,
    progress: Progress | None,
) -> FillResult:
    """Embed the wanted images in one pass; other copies of lost images are wanted next."""
    wanted = _union(dataset, fillings)
    encodings = [filling.encoding for filling in fillings]
    if options.executor == "ray":
        results = [cluster.fill(encodings[0].store, wanted, encodings[0].runtime)]
    else:
        unwanted = None if len(fillings) == 1 else [each.unwanted() for each in fillings]
        filler = Filler(encodings)
        results = filler.fill(dataset.source, wanted, is_known=unwanted, progress=progress)
    for filling, result in zip(fillings, results, strict=True):
        filling.wanted = _other_copies(dataset, scanned, wanted, result, filling.result)
        filling.result = filling.result.plus(result)
    return together(results)


@dataclass(frozen=True)
class _Outcome:
    """A filled store, the stores that contain its vectors, and what was added to them.

    `options` is None if the vectors were imported.
    """

    store: AnyStore
    stores: Sequence[Store]
    filled: FillResult
    options: EmbedOptions | None


class _Choice:
    """A backbone, or a combination of backbones, with the stores of the chosen precision."""

    def __init__(self, workspace: Workspace, options: EmbedOptions) -> None:
        self.options, self.parts = options, parts_of(options)
        self._by_precision = _stores(workspace, options, self.parts)
        self.stores = self._by_precision[0]
        self.store = self._joined(workspace)
        self.fillings: list[_Filling] = []
        self.missing = np.empty(0, bool)  # (items,), before embedding

    @property
    def is_sure(self) -> bool:
        """Whether the precision is known before the scan."""
        return len(self._by_precision) == 1

    def create(self) -> None:
        """Write the files of the specs, if they are missing."""
        for store in self.stores:
            store.create()

    def known_store(self, workspace: Workspace) -> Store | None:
        """Return the only store, if no older vectors can be reused; else None."""
        store = self.stores[0]
        return store if self.is_sure and not any(older_stores(store, workspace)) else None

    def decide(self, workspace: Workspace, content_ids: pa.Array, notes: list[str]) -> None:
        """Choose the precision of which the cache has most vectors."""
        first = self.stores

        def covered(stores: tuple[Store, ...]) -> int:
            return sum(_covered(store, workspace, content_ids) for store in stores)

        if not self.is_sure:
            self.stores = max(self._by_precision, key=covered)
            self.store = self._joined(workspace)
        if self.stores is not first:
            notes.append(
                f"precision {self.store.spec.precision}, from the vectors of this dataset in the "
                f"cache; --precision {first[0].spec.precision} computes other vectors"
            )

    def outcome(self, scanned: Scan) -> _Outcome:
        """Return the result of embedding; a combination counts each image once."""
        filled = together([each.result for each in self.fillings])
        if len(self.fillings) > 1:
            added = self.missing & ~self.store.missing(scanned.content_ids)  # (items,)
            images = pc.unique(scanned.content_ids.filter(pa.array(added)))
            filled = replace(filled, embedded=len(images))
        return _Outcome(self.store, self.stores, filled, self.options)

    def _joined(self, workspace: Workspace) -> AnyStore:
        return open_store(workspace, joined_spec([store.spec for store in self.stores]))


class _Filling:
    """A backbone and its store, with the images that it lacks, and the result so far."""

    def __init__(self, part: Part, store: Store, result: FillResult) -> None:
        self.part, self.store, self.result = part, store, result
        self.wanted: dict[str, bytes] = {}
        self.encoding: Encoding

    def find_wanted(
        self,
        dataset: Dataset,
        workspace: Workspace,
        scanned: Scan,
        retry: bool,
        progress: Progress | None,
    ) -> None:
        """List the images to embed, after a copy of older vectors with equal pixels."""
        tried = {failure.content_id for failure in self.result.failures.values()}
        self.wanted = _wanted(dataset, scanned, self.store, retry, tried)
        source = dataset.source
        if self.wanted and copy_older_vectors(self.store, workspace, source, self.wanted, progress):
            self.wanted = _wanted(dataset, scanned, self.store, retry, tried)

    def prepare(self, options: EmbedOptions, notes: list[str]) -> None:
        """Create the store, and decide how to compute the vectors."""
        self.store.create()
        runtime = runtime_of(self.store, options.runtime, notes)
        self.encoding = Encoding(self.part, self.store, runtime)

    def unwanted(self) -> Callable[[bytes], bool]:
        """Return a function that returns whether an image is not wanted."""
        contents = set(self.wanted.values())
        return lambda content_id: content_id not in contents


def _union(dataset: Dataset, fillings: Sequence[_Filling]) -> dict[str, bytes]:
    """Return the images that at least one store lacks, in the order of the items."""
    first, *others = (each.wanted for each in fillings)
    if not others:
        return first
    items: dict[bytes, str] = {}
    for wanted in (first, *others):
        for item_id, content_id in wanted.items():
            items.setdefault(content_id, item_id)
    union = {item_id: content_id for content_id, item_id in items.items()}
    return {item.id: union[item.id] for item in dataset.items if item.id in union}


def _only_part(options: EmbedOptions, choices: Sequence[_Choice]) -> Part:
    """Return the only backbone for Ray; raise an error if there are several."""
    parts = [part for choice in choices for part in choice.parts]
    if len(parts) > 1:
        raise UsageError(
            f"--executor ray embeds one backbone at a time; --backbone {options.backbone} has "
            f"{len(parts)}. Run the command for each."
        )
    return parts[0]


def _check(options: EmbedOptions) -> None:
    """Refuse unknown runtimes and executors."""
    if options.runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {options.runtime!r}: use {', '.join(RUNTIMES)}.")
    check_executor(options.executor)


def fill_folder(
    place: str, workspace: Workspace, options: EmbedOptions, progress: Progress | None = None
) -> tuple[FillCounts, Spec]:
    """Embed the images of a folder on a Ray cluster, without a list of them or a matrix."""
    if options.executor != "ray" or options.require_cached:
        raise UsageError("--fill-only needs --executor ray, and no --require-cached.")
    part = _only_part(options, [_Choice(workspace, each) for each in one_of_each(options)])
    store = Store(workspace, part.spec(precision_of(options, [part])))
    store.create()
    runtime = runtime_of(store, options.runtime, [])
    counts = fill_only(place, store, part.backbone, part.preprocess, options, runtime, progress)
    return counts, store.spec


def _stores(
    workspace: Workspace, options: EmbedOptions, parts: Sequence[Part]
) -> list[tuple[Store, ...]]:
    """Return the stores of the parts by precision, the precision of this machine first.

    Another precision is left out if the cache has no vectors of it.
    """
    precision = precision_of(options, parts)
    first = [part.spec(precision) for part in parts]
    found = [tuple(Store(workspace, spec) for spec in first)]
    if options.precision == "auto":
        other = "fp32" if precision == "bf16" else "bf16"
        stores = tuple(Store(workspace, replace(spec, precision=other)) for spec in first)
        if any(store.exists() or any(older_stores(store, workspace)) for store in stores):
            found.append(stores)
    return found


def _covered(store: Store, workspace: Workspace, content_ids: pa.Array) -> int:
    """Return the number of items with a vector in a store or in its older stores."""
    missing = store.missing(content_ids)
    for older in older_stores(store, workspace):
        missing &= older.missing(content_ids)
    return int((~missing).sum())


def runtime_of(store: Store, asked: str, notes: list[str]) -> str:
    """Return the runtime to use: for "auto" in bf16, the runtime of the cached vectors."""
    known = store.runtime()
    if asked != "auto" or store.spec.precision != "bf16" or known not in RUNTIMES:
        return asked
    try:
        if known != resolve_runtime("auto"):
            notes.append(f"runtime {known}, from the bf16 vectors in the cache")
        return resolve_runtime(known)
    except BackboneError as error:
        raise BackboneError(
            f"the bf16 vectors in {store.folder} were computed by {known}, which is not installed. "
            "Vectors of another runtime differ too much: `pip install 'embedpipe[openvino]'`, or "
            "use --precision fp32."
        ) from error


def _not_cached(
    dataset: Dataset, scanned: Scan, wanted: dict[str, bytes], store: AnyStore
) -> NotCachedError:
    contents = pa.array(list(wanted.values()), CONTENT_ID)
    count = int(pc.sum(pc.is_in(scanned.content_ids, value_set=contents)).as_py())
    return NotCachedError(
        f"{count} of the {len(dataset)} images of {dataset.name!r} have no vector of spec "
        f"{store.spec.id[:12]} in the cache; the first is {next(iter(wanted))!r}. Run `embedpipe "
        "embed` with the same options, or leave out --require-cached."
    )


def _with_changes(options: EmbedOptions, changes: dict[str, object]) -> EmbedOptions:
    unknown = sorted(set(changes) - set(EmbedOptions.__dataclass_fields__))
    if unknown:
        known = ", ".join(EmbedOptions.__dataclass_fields__)
        raise UsageError(f"embed() has no option {unknown[0]!r}; it has: {known}.")
    return replace(options, **changes)  # type: ignore[arg-type]


def _wanted(
    dataset: Dataset, scanned: Scan, store: Store, retry: bool, tried: Container[bytes | None]
) -> dict[str, bytes]:
    """Return the content ids to embed, each by the id of one item that has it."""
    failed = tried if retry else store.failures()
    missing = store.missing(scanned.content_ids)
    wanted: dict[bytes, str] = {}
    for row in np.flatnonzero(missing):
        content_id = scanned.content_ids[int(row)].as_py()
        if content_id is not None and content_id not in failed:
            wanted.setdefault(content_id, dataset.items[int(row)].id)
    return {item_id: content_id for content_id, item_id in wanted.items()}


def _other_copies(
    dataset: Dataset,
    scanned: Scan,
    wanted: dict[str, bytes],
    latest: FillResult,
    earlier: FillResult,
) -> dict[str, bytes]:
    """Return an untried copy of each image that has become unreadable."""
    lost = {wanted[path] for path, failure in latest.failures.items() if failure.stage == "read"}
    tried = wanted.keys() | earlier.failures.keys()
    copies: dict[bytes, str] = {}
    if lost:
        for item, content_id in zip(dataset.items, scanned.content_ids.to_pylist(), strict=True):
            if content_id in lost and item.id not in tried:
                copies.setdefault(content_id, item.id)
    return {path: content_id for content_id, path in copies.items()}


def _gather(
    dataset: Dataset,
    workspace: Workspace,
    outcome: _Outcome,
    scanned: Scan,
    total: FillResult,
    started: float,
    notes: list[str],
) -> Embeddings:
    """Return the matrix of an outcome; `total` is the result of the whole call."""
    store, filled = outcome.store, outcome.filled
    missing = store.missing(scanned.content_ids)  # (items,)
    failures = _failures(dataset, scanned, store, filled, missing)
    rows = np.flatnonzero(~missing)
    unreadable = [failure for failure in failures if failure.content_id is None]
    with contextlib.suppress(ReadOnlyError):  # the failures are in the report anyway
        for part in outcome.stores if unreadable else ():
            part.add_failures(unreadable, versions())
    if not len(dataset):
        raise DatasetError(f"dataset {dataset.name!r} has no items to embed.")
    if not len(rows):
        first = failures[0]
        if dataset.listed and len(dataset) == 1:
            raise DatasetError(sentence_about(dataset.source.path(first.path), first.error))
        name = "" if dataset.listed else f" of {dataset.name!r}"
        raise DatasetError(
            f"none of the {len(dataset)} images{name} could be embedded. {first.message}"
        )
    content_ids = scanned.content_ids.take(pa.array(rows))
    keep = not dataset.listed
    if len(outcome.stores) > 1:
        with contextlib.suppress(ReadOnlyError):
            store.create()
    matrix, folder, digest = open_matrix(workspace, store, content_ids, keep=keep)
    vanished = tuple(
        Failure(path, None, "scan", "it is missing since the last scan")
        for path in scanned.vanished
    )
    report = EmbedReport(
        dataset=dataset.name,
        spec_id=store.spec.id,
        items=len(dataset),
        embedded=filled.embedded,
        reused=len(rows) - filled.embedded,
        failed=len(failures) + len(vanished),
        dim=store.spec.dim,
        seconds=time.monotonic() - started,
        images_per_second=total.embedded / total.seconds if filled.embedded else None,
        remarks=(
            *(Remark(dataset.source.location, text) for text in dataset.source.remarks),
            *filled.remarks,
        ),
        vanished=len(vanished),
        notes=tuple(notes),
        profile=total.profile,
    )
    return Embeddings(
        matrix=matrix,
        items=tuple(dataset.items[row] for row in rows),
        dataset=dataset,
        spec=store.spec,
        content_ids=tuple(content_ids.to_pylist()),
        failures=failures,
        folder=folder,
        digest=digest,
        report=report,
        vanished=vanished,
        options=outcome.options,
    )


def _failures(
    dataset: Dataset, scanned: Scan, store: AnyStore, filled: FillResult, missing: np.ndarray
) -> tuple[Failure, ...]:
    """Return a failure for every item without a vector."""
    by_content = store.failures()
    failures = []
    for row in np.flatnonzero(missing):
        item_id, content_id = dataset.items[row].id, scanned.content_ids[int(row)].as_py()
        if content_id is None:
            failures.append(Failure(item_id, None, "read", scanned.errors[int(row)]))
        elif content_id in by_content:
            failures.append(replace(by_content[content_id], path=item_id))
        else:
            known = filled.failures.get(item_id)
            reason = "it has no vector in the cache after embedding. Run the same command again"
            failures.append(known or Failure(item_id, content_id, "encode", reason))
    return tuple(failures)
