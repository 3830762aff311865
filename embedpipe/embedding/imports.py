"""Imported vectors: those of a file, stored under a spec of their own.

The spec of imported vectors has the library ``imported``, a name, and the digest of the first file
of this name. More files can be added under the same name; images that they share must have the same
vectors. A file is checked completely before the first vector is stored. Its content ids are stored
last, so an import that was killed is not complete, and the same command completes it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .._options import EmbedOptions
from .._versions import versions
from .._workspace import Workspace
from ..cache import Failure, Row, Spec, Store, specs_of_library
from ..cache.store import TOLERANCE, relative_distance
from ..datasets import Dataset
from ..datasets.path_messages import (
    Counted,
    count,
    explain_ambiguous,
    explain_unknown,
    format_rewritten,
)
from ..datasets.resolver import PathResolver
from ..errors import DatasetError, NotCachedError, UnknownNameError, UsageError, VectorFileError
from .filling import FRAGMENT_ROWS, FillResult
from .imported_names import IMPORTED, LIBRARY, is_imported, spec_name
from .scan import Progress, Scan
from .vector_files import VectorFile, VectorSource

__all__ = ["Imported", "add_imported", "options_for_model"]


_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_DEFAULT = EmbedOptions().backbone

Options = TypeVar("Options", bound=EmbedOptions)


@dataclass(frozen=True)
class Imported:
    """The store of imported vectors, with the result of an import, and notes for the user."""

    store: Store
    result: FillResult
    notes: tuple[str, ...] = ()


def options_for_model(options: Options, spec: Spec, model: str | Path) -> Options | None:
    """Return the options for a model that was trained on imported vectors of a spec.

    The result is None if neither the model nor the options have imported vectors.
    """
    trained, given = spec_name(spec), spec_name(options.backbone)
    if trained is None and not is_imported(options):
        return None
    if trained is None:
        raise UsageError(
            f"{model} was trained with the backbone {spec.backbone['architecture']}, not on "
            "imported vectors: leave them out."
        )
    if given not in (None, trained) or (given is None and options.backbone != _DEFAULT):
        name = IMPORTED + trained
        raise UsageError(
            f"{model} was trained on {name}: leave out --backbone {options.backbone}. If these "
            "images have no vectors of that name, give a file with --vectors."
        )
    return replace(options, backbone=spec, precision=spec.precision)


def add_imported(
    dataset: Dataset,
    workspace: Workspace,
    options: EmbedOptions,
    scanned: Scan,
    progress: Progress | None = None,
) -> Imported:
    """Return the store of the options, after an import of the file if it is not stored yet.

    Images without a vector are failures of the result.
    """
    _check(options)
    store = _named_store(workspace, options.backbone)
    started, added, notes = time.monotonic(), 0, list[str]()
    if options.vectors is not None:
        source = VectorSource.of(options.vectors)
        if store is None and spec_name(options.backbone) is None:
            store = _store_of_file(workspace, source)
        if store is None or source.again or options.retry_failed or not _holds(store, source):
            opened = source.open()
            if store is None:
                store = Store(workspace, _new_spec(options.backbone, source, opened))
            job = _Import(dataset, scanned, store, source, opened)
            added = job.run(progress)
            notes = job.notes
    if store is None:
        raise _unknown(workspace, str(spec_name(options.backbone)))
    seconds = max(time.monotonic() - started, 1e-9)
    failures = _missing(dataset, scanned, store, required=options.require_cached)
    return Imported(store, FillResult(added, failures, seconds), tuple(notes))


def _check(options: EmbedOptions) -> None:
    """Refuse options that contradict imported vectors."""
    name = spec_name(options.backbone)
    if name is None and options.backbone != _DEFAULT:
        raise UsageError(
            f"--vectors and --backbone {options.backbone} exclude each other: leave one of them "
            f"out. --backbone {IMPORTED}NAME gives imported vectors a name."
        )
    if name is not None and any(sign in name for sign in "+,"):
        raise UsageError(
            f"--backbone {options.backbone}: imported vectors cannot be combined with others. Give "
            "one name."
        )
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f"the name {name!r} of imported vectors is invalid: use up to 64 letters without "
            "accents, digits, '_', '.' and '-'."
        )
    unused = {
        "--weights": options.weights is not None,
        "--image-size": options.image_size is not None,
        "--pooling": options.pooling is not None,
        "--scaled-decode": options.scaled_decode,
        f"--views {options.views}": options.views != "none",
        f"--precision {options.precision}": options.precision not in ("auto", "fp32"),
    }
    for flag, is_given in unused.items():
        if is_given:
            raise UsageError(f"{flag} has no use for imported vectors: leave it out.")


def _unknown(workspace: Workspace, name: str) -> UnknownNameError:
    """Return the error of a name without vectors."""
    known = [str(spec_name(each)) for each in specs_of_library(workspace, LIBRARY)]
    hint = "`embedpipe import-vectors` or --vectors FILE imports vectors."
    fault = "" if known else f"{workspace} has no imported vectors called {name!r}."
    return UnknownNameError("imported vectors", name, known, hint, fault)


def _named_store(workspace: Workspace, backbone: Any) -> Store | None:
    """Return the store of ``imported:NAME`` or of a spec; None if it does not exist."""
    if isinstance(backbone, Spec):
        return Store(workspace, backbone)
    name = spec_name(backbone)
    found = [each for each in specs_of_library(workspace, LIBRARY) if spec_name(each) == name]
    if len(found) > 1:
        ids = " and ".join(each.id[:12] for each in found)
        raise UsageError(
            f"several specs have the name {backbone}: {ids}. Remove one with `embedpipe cache drop "
            "--spec`."
        )
    return Store(workspace, found[0]) if found else None


def _store_of_file(workspace: Workspace, source: VectorSource) -> Store | None:
    """Return the store that contains a file, or that a killed import of it has begun; or None."""
    stores = [Store(workspace, spec) for spec in specs_of_library(workspace, LIBRARY)]
    begun = [each for each in stores if each.spec.backbone["weights_sha256"] == source.digest]
    complete = (each for each in stores if source.digest in each.imports())
    return next(complete, begun[0] if begun else None)


def _holds(store: Store, source: VectorSource) -> bool:
    """Return whether a file was imported completely, and its vectors are still stored."""
    content_ids = store.imports().get(source.digest)
    return content_ids is not None and not store.missing(content_ids).any()


def _new_spec(backbone: Any, source: VectorSource, opened: VectorFile) -> Spec:
    """Return the spec of the vectors of a new name; by default, the name is that of the file."""
    stem = source.data.stem if isinstance(source.data, Path) else "array"
    slug = re.sub(r"[^\w.-]+", "-", stem, flags=re.ASCII).strip("-.")[:48]
    name = spec_name(backbone) or f"{slug or 'vectors'}-{source.digest[:8]}"
    return Spec(
        {
            "library": LIBRARY,
            "architecture": name,
            "pooling": "unknown",
            "dim": opened.dim,
            "weights_sha256": source.digest,
        },
        {},
        "fp32",
    )


def _missing(
    dataset: Dataset, scanned: Scan, store: Store, *, required: bool
) -> dict[str, Failure]:
    """Return the failures of the images without a vector, by item id."""
    name = IMPORTED + str(spec_name(store.spec))
    reason = f"it has no vector in {name}"
    rows = np.flatnonzero(store.missing(scanned.content_ids))
    ids = scanned.content_ids.take(pa.array(rows)).to_pylist()
    failures = {
        dataset.items[row].id: Failure(dataset.items[row].id, content_id, "import", reason)
        for row, content_id in zip(rows.tolist(), ids, strict=True)
        if content_id is not None
    }
    if failures and (required or len(rows) == len(dataset)):
        first = next(iter(failures))
        error = NotCachedError if required else DatasetError
        more = ", or leave out --require-cached" if required else ""
        raise error(
            f"{len(failures)} of the {len(dataset)} images of {dataset.name!r} have no vector in "
            f"{name}; the first is {first!r}. Import a file with their vectors: `embedpipe "
            f"import-vectors DATASET FILE --name {spec_name(store.spec)}`{more}."
        )
    return failures


@dataclass
class _Import:
    """The import of a file for the images of a dataset."""

    dataset: Dataset
    scanned: Scan
    store: Store
    source: VectorSource
    opened: VectorFile
    notes: list[str] = field(default_factory=list)

    def run(self, progress: Progress | None) -> int:
        """Check all vectors, then store them; return the number of stored vectors.

        Memory: about 500 bytes for each row, two blocks of vectors, and a vector for each image
        with copies.
        """
        spec = self.store.spec
        if self.opened.dim != spec.dim:
            name = IMPORTED + str(spec_name(spec))
            raise self._fault(
                f"the vectors have {self.opened.dim} numbers; those of {name} have {spec.dim}"
            )
        items = self._items()  # (n,)
        if self.opened.dtype == "float64":
            self.notes.append(f"{self.source.name}: float64 numbers are stored as float32")
        self._codes(items)
        total = 2 * len(items)
        for start, vectors in self._watched(self.opened.vectors()):
            self._compare(start, vectors)
            if progress is not None:
                progress("import", start + len(vectors), total)
        self.store.create()
        provenance = versions() | {
            "file": Path(self.source.name).name, "file_sha256": self.source.digest,
        }  # fmt: skip
        added, rows = 0, list[Row]()
        for start, vectors in self._watched(self.opened.vectors()):
            rows += self._rows(start, vectors)
            if len(rows) >= FRAGMENT_ROWS:
                added += self._add(rows, provenance)
                rows = []
            if progress is not None:
                progress("import", len(items) + start + len(vectors), total)
        added += self._add(rows, provenance)
        self.store.add_import(self.contents, provenance)
        return added

    def _fault(self, clause: str) -> VectorFileError:
        return VectorFileError(f"{self.source.name}: {clause}. Nothing was stored.")

    def _items(self) -> NDArray[np.int64]:
        """Return the item of each row, (n,); -1 for an unknown path that is left out."""
        resolver = PathResolver.of(self.dataset)
        position = {item.id: row for row, item in enumerate(self.dataset.items)}
        found = np.full(len(self.opened.paths), -1, np.int64)
        row_of = np.full(len(self.dataset), -1, np.int64)
        unknown: list[str] = []
        ambiguous: dict[str, tuple[str, ...]] = {}
        rewritten: dict[str, Counted] = {}
        for row, path in enumerate(self.opened.paths):
            resolved = resolver.resolve(path)
            if resolved.id is None:
                if resolved.candidates:
                    ambiguous[path] = resolved.candidates
                else:
                    unknown.append(path)
                continue
            if resolved.steps:
                count(rewritten, " and ".join(resolved.steps), f"{path!r} is {resolved.id!r}")
            item = position[resolved.id]
            if row_of[item] >= 0:
                raise self._fault(
                    f"rows {row_of[item]} and {row} are both of {resolved.id!r}. Keep one of the "
                    "two"
                )
            found[row], row_of[item] = item, row
        left_out = len(unknown) + len(ambiguous)
        if left_out and (left_out == len(found) or not self.source.skip_unknown):
            raise self._unmatched(unknown, ambiguous)
        if left_out:
            self.notes.append(f"{self.source.name}: {left_out:,} vectors of other images left out")
        if rewritten:
            self.notes.append(f"{self.source.name}: {format_rewritten(rewritten)}")
        return found

    def _unmatched(
        self, unknown: list[str], ambiguous: dict[str, tuple[str, ...]]
    ) -> VectorFileError:
        """Return the error about paths that match no item or several items."""
        n_paths, noun = len(self.opened.paths), f"paths in {self.source.name}"
        ids = [item.id for item in self.dataset.items]
        sentences = []
        if unknown:
            sentences.append(explain_unknown(unknown, n_paths, ids, noun))
        if ambiguous:
            sentences.append(explain_ambiguous(ambiguous, n_paths, noun))
        hint = "`import-vectors --skip-unknown` leaves the other paths out."
        some_match = len(unknown) + len(ambiguous) < n_paths
        return VectorFileError(
            " ".join([*sentences, "Nothing was stored.", *([hint] if some_match else [])])
        )

    def _codes(self, items: NDArray[np.int64]) -> None:
        """Give a number to the image of each row: rows with equal bytes have equal numbers."""
        taken = self.scanned.content_ids.take(pa.array(items, mask=items < 0))
        encoded = pc.dictionary_encode(taken)  # null: left out, or unreadable
        self.contents = encoded.dictionary  # (k,) content ids
        self.codes = pc.fill_null(encoded.indices, -1).to_numpy()  # (n,)
        is_known = ~self.store.missing(self.contents)  # (k,)
        rows = np.flatnonzero(self.codes >= 0)
        counts = np.bincount(self.codes[rows], minlength=len(self.contents))
        first = np.zeros(len(self.contents), np.int64)
        first[self.codes[rows][::-1]] = rows[::-1]  # the last assignment is that of the first row
        self.is_new, self.is_copy, self.is_stored = np.zeros((3, len(items)), bool)
        self.is_new[first[~is_known]] = True
        self.is_copy[rows] = counts[self.codes[rows]] > 1
        self.is_stored[rows] = is_known[self.codes[rows]]
        self.copies: dict[int, tuple[int, NDArray[np.float32]]] = {}

    def _compare(self, start: int, vectors: NDArray[np.float32]) -> None:
        """Compare the vectors of equal images in the file, and with those that are stored."""
        part = slice(start, start + len(vectors))
        for at in np.flatnonzero(self.is_copy[part]).tolist():
            row = start + at
            before, vector = self.copies.setdefault(int(self.codes[row]), (row, vectors[at].copy()))
            if _differ(vectors[at][None], vector[None]):
                paths = self.opened.paths
                raise self._fault(
                    f"{paths[before]!r} and {paths[row]!r} are the same image (equal bytes), but "
                    "have different vectors. Remove one of the rows"
                )
        shared = np.flatnonzero(self.is_stored[part])
        if not shared.size:
            return
        ids = self.contents.take(pa.array(self.codes[part][shared]))
        for positions, stored in self.store.vectors_for(ids):
            for position, vector in zip(shared[positions].tolist(), stored, strict=True):
                if _differ(vectors[position][None], vector[None]):
                    name = IMPORTED + str(spec_name(self.store.spec))
                    raise self._fault(
                        f"the vector of {self.opened.paths[start + position]!r} differs from the "
                        f"stored vector of this image in {name}. Choose another name"
                    )

    def _rows(self, start: int, vectors: NDArray[np.float32]) -> list[Row]:
        """Return the rows of a block to store, one for each new image; sizes are unknown."""
        wanted = np.flatnonzero(self.is_new[start : start + len(vectors)])
        ids = self.contents.take(pa.array(self.codes[start + wanted])).to_pylist()
        return [
            Row(content_id, vector, 0, 0, 0)
            for content_id, vector in zip(ids, vectors[wanted], strict=True)
        ]

    def _add(self, rows: list[Row], provenance: dict[str, str]) -> int:
        if rows:
            self.store.add(rows, provenance)
        return len(rows)

    def _watched(self, blocks: Iterator[Any]) -> Iterator[Any]:
        """Yield blocks of the file; raise an error if it was changed."""
        for block in blocks:
            self.source.check_unchanged()
            yield block


def _differ(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Return whether vectors differ by more than rounding errors of an encoder in 16 bits."""
    return not relative_distance(vectors, others) <= TOLERANCE["bf16"]
