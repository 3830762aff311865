"""`embed`: the vectors of a dataset, computed or from the cache."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._options import EmbedOptions, check_executor
from .._text import sentence_about
from .._versions import versions
from .._workspace import Workspace
from ..backbones import (
    RUNTIMES,
    Backbone,
    Preprocess,
    get_backbone,
    resolve_precision,
    resolve_runtime,
)
from ..cache import CONTENT_ID, Failure, Spec, Store, open_matrix
from ..datasets import Dataset, load_dataset
from ..errors import BackboneError, DatasetError, NotCachedError, ReadOnlyError, UsageError
from .cluster import FillCounts, RayExecutor, fill_only
from .embeddings import Embeddings, EmbedReport, Remark
from .filling import FillResult, copy_older_vectors, fill, older_stores
from .imports import add_imported, is_imported
from .scan import Progress, Scan, scan

__all__ = [
    "backbone_of",
    "embed",
    "embed_scanned",
    "fill_folder",
    "preprocess_of",
    "runtime_of",
    "spec_of",
]


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
    started = time.monotonic()
    _check(options)
    if is_imported(options):
        return _with_imported(dataset, workspace, options, progress, earlier)
    backbone = backbone_of(options)
    preprocess = preprocess_of(options, backbone)
    stores = _stores(workspace, options, backbone)
    is_sure = len(stores) == 1 and not options.require_cached
    if is_sure:
        stores[0].create()  # raises before the scan if the workspace is read-only
    notes: list[str] = []
    filled = FillResult(0, {}, 0.0)
    cluster = RayExecutor(options, backbone, preprocess, dataset.source, progress)
    with cluster:
        digests = None
        if options.executor == "ray" and not options.require_cached:
            first = stores[0] if is_sure and not any(older_stores(stores[0], workspace)) else None
            runtime = "auto" if first is None else runtime_of(first, options.runtime, [])
            digests = partial(cluster.digests, store=first, runtime=runtime)
        scanned = scan(
            dataset,
            workspace,
            None if digests else progress,
            earlier=earlier,
            store=workspace.exists() or not options.require_cached,
            digests=digests,
        )
        filled = filled.plus(cluster.filled)
        if not scanned.remembered:
            notes.append(f"{workspace} is read-only: the scan of this dataset is not stored")
        store = max(stores, key=lambda each: _covered(each, workspace, scanned.content_ids))
        if store is not stores[0]:
            notes.append(
                f"precision {store.spec.precision}, from the vectors of this dataset in the cache; "
                f"--precision {stores[0].spec.precision} computes other vectors"
            )
        tried = {failure.content_id for failure in filled.failures.values()}
        wanted = _wanted(dataset, scanned, store, options.retry_failed, tried)
        if wanted and copy_older_vectors(store, workspace, dataset.source, wanted, progress):
            wanted = _wanted(dataset, scanned, store, options.retry_failed, tried)
        if wanted and options.require_cached:
            raise _not_cached(dataset, scanned, wanted, store)
        if wanted:
            store.create()
            runtime = runtime_of(store, options.runtime, notes)
        while wanted:
            if options.executor == "ray":
                result = cluster.fill(store, wanted, runtime)
            else:
                result = fill(
                    store,
                    backbone,
                    preprocess,
                    dataset.source,
                    wanted,
                    runtime=runtime,
                    progress=progress,
                )
            wanted = _other_copies(dataset, scanned, wanted, result, filled)
            filled = filled.plus(result)
    embeddings = _gather(dataset, workspace, store, scanned, filled, started, notes)
    return replace(embeddings, options=options)


def _with_imported(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    progress: Progress | None,
    earlier: Scan | None,
) -> Embeddings:
    """Return the imported vectors of a dataset, after an import of new ones."""
    started = time.monotonic()
    can_store = workspace.exists() or not options.require_cached
    scanned = scan(dataset, workspace, progress, earlier=earlier, store=can_store)
    found = add_imported(dataset, workspace, options, scanned, progress)
    notes = list(found.notes)
    return _gather(dataset, workspace, found.store, scanned, found.result, started, notes)


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
    backbone = backbone_of(options)
    store = Store(workspace, spec_of(options, backbone))
    store.create()
    runtime = runtime_of(store, options.runtime, [])
    preprocess = preprocess_of(options, backbone)
    return fill_only(place, store, backbone, preprocess, options, runtime, progress), store.spec


def backbone_of(options: EmbedOptions) -> Backbone:
    """Return the backbone of the options."""
    if isinstance(options.backbone, Backbone):
        return options.backbone
    if is_imported(options):
        raise UsageError(
            "the encoder of imported vectors is unknown, so no new image can be embedded. Import "
            "a file with the vectors of these images: --vectors FILE."
        )
    return get_backbone(
        options.backbone, options.weights, image_size=options.image_size, pooling=options.pooling
    )


def spec_of(options: EmbedOptions, backbone: Backbone) -> Spec:
    """Return the spec of new vectors on this machine."""
    preprocess = preprocess_of(options, backbone)
    precision = resolve_precision(options.precision, backbone.precisions)
    return Spec(backbone.identity, preprocess.as_spec(), precision)


def preprocess_of(options: EmbedOptions, backbone: Backbone) -> Preprocess:
    """Return the preprocessing of the options, for a backbone."""
    return replace(backbone.preprocess, scaled_decode=options.scaled_decode)


def _stores(workspace: Workspace, options: EmbedOptions, backbone: Backbone) -> list[Store]:
    """Return the stores that fit the options, the store of this machine's precision first."""
    first = spec_of(options, backbone)
    stores = [Store(workspace, first)]
    if options.precision == "auto":
        other = "fp32" if first.precision == "bf16" else "bf16"
        stores.append(Store(workspace, replace(first, precision=other)))
    return [
        store
        for store in stores
        if store is stores[0] or store.exists() or any(older_stores(store, workspace))
    ]


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
    dataset: Dataset, scanned: Scan, wanted: dict[str, bytes], store: Store
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
    store: Store,
    scanned: Scan,
    filled: FillResult,
    started: float,
    notes: list[str],
) -> Embeddings:
    missing = store.missing(scanned.content_ids)  # (items,)
    failures = _failures(dataset, scanned, store, filled, missing)
    rows = np.flatnonzero(~missing)
    unreadable = [failure for failure in failures if failure.content_id is None]
    if unreadable:
        with contextlib.suppress(ReadOnlyError):  # the failures are in the report anyway
            store.add_failures(unreadable, versions())
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
        images_per_second=filled.embedded / filled.seconds if filled.embedded else None,
        remarks=(
            *(Remark(dataset.source.location, text) for text in dataset.source.remarks),
            *filled.remarks,
        ),
        vanished=len(vanished),
        notes=tuple(notes),
        profile=filled.profile,
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
    )


def _failures(
    dataset: Dataset, scanned: Scan, store: Store, filled: FillResult, missing: np.ndarray
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
