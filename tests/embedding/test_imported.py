"""Vectors that other programs computed are imported exactly, or not at all."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedpipe as ep
from embedpipe.cache import specs_of_library
from embedpipe.embedding import imports
from embedpipe.labels import Labelled, formats

N, DIM = 12, 5
VECTORS = np.random.default_rng(3).normal(size=(N, DIM)).astype(np.float32)


@pytest.fixture
def dataset(photos: Callable[..., Path]) -> ep.Dataset:
    return ep.load_dataset(photos(N))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for files of vectors; the workspace is in it."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path


def ids_of(dataset: ep.Dataset) -> list[str]:
    return [item.id for item in dataset.items]


def write_npy(place: Path, ids: list[str], vectors: Any) -> Path:
    np.save(place / "v.npy", vectors)
    (place / "v.txt").write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
    return place / "v.npy"


def write_parquet(place: Path, ids: list[str], vectors: Any) -> Path:
    table = {"path": ids, "v": pa.array(list(map(list, vectors)), pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), place / "v.parquet", row_group_size=5)
    return place / "v.parquet"


def write_tensors(place: Path, ids: list[str], vectors: Any) -> Path:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(vectors))
    table = pa.table({"n": range(len(ids)), "embedding": tensors, "file_name": ids})
    pq.write_table(table, place / "t.parquet")
    return place / "t.parquet"


def write_npz(place: Path, ids: list[str], vectors: Any) -> Path:
    np.savez_compressed(place / "v.npz", vectors=vectors, paths=np.array(ids), other=1)
    return place / "v.npz"


def write_npz_by_path(place: Path, ids: list[str], vectors: Any) -> Path:
    np.savez(place / "p.npz", **dict(zip(ids, vectors, strict=True)))
    return place / "p.npz"


def write_lightly(place: Path, ids: list[str], vectors: Any) -> Path:
    items = [Labelled(each, "hat") for each in ids]
    formats["lightly"].write(place / "lightly", items, embeddings=vectors)
    return place / "lightly" / "embeddings.csv"


def write_lance(place: Path, ids: list[str], vectors: Any) -> Path:
    lance = pytest.importorskip("lance")
    lance.write_dataset(pq.read_table(write_parquet(place, ids, vectors)), str(place / "v.lance"))
    return place / "v.lance"


WRITERS = [
    write_npy,
    write_parquet,
    write_tensors,
    write_npz,
    write_npz_by_path,
    write_lightly,
    write_lance,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_each_format_is_imported_once_and_exactly(
    dataset: ep.Dataset, place: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(0).permutation(N)
    file = write(place, [ids_of(dataset)[row] for row in order], VECTORS[order])
    found = ep.embed(dataset, vectors=file)
    assert found.matrix.tobytes() == VECTORS.tobytes()
    assert (found.report.embedded, found.report.reused, found.failures) == (N, 0, ())
    assert found.options is None
    assert found.spec.backbone["library"] == "imported"
    monkeypatch.setattr(imports._Import, "run", None)  # the file is not read again
    again = ep.embed(dataset, vectors=file)
    assert (again.spec, again.report.embedded) == (found.spec, 0)
    named = ep.embed(dataset, backbone=f"imported:{found.spec.backbone['architecture']}")
    assert named.matrix.tobytes() == VECTORS.tobytes()
    assert ep.verify(ep.Workspace()) == []
    assert ep.collect_garbage(ep.Workspace()) == []


def test_a_round_trip_through_parquet_is_exact(dataset: ep.Dataset, place: Path) -> None:
    odd = VECTORS.copy()
    odd[0] = [0.1, -0.0, 1e-45, 3.4e38, np.nextafter(np.float32(1), np.float32(2))]
    first = ep.import_vectors(dataset, odd, paths=ids_of(dataset), name="first")
    file = ep.write_vectors(first, place / "out" / "v.parquet")
    assert pq.read_schema(file).metadata[b"embedpipe_spec"].decode() == first.spec.to_json()
    again = ep.import_vectors(dataset, file, name="again")
    assert again.matrix.tobytes() == first.matrix.tobytes() == odd.tobytes()
    with pytest.raises(ep.errors.UsageError, match="v.npy: its name must end in .parquet"):
        ep.write_vectors(first, place / "v.npy")


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", ">f4"])
def test_numbers_are_stored_as_float32(dataset: ep.Dataset, place: Path, dtype: str) -> None:
    given = np.asfortranarray((100 * VECTORS).astype(dtype))
    found = ep.embed(dataset, vectors=write_npy(place, ids_of(dataset), given))
    assert np.array_equal(found.matrix, given.astype(np.float32))
    rounded = any("float64 numbers are stored as float32" in note for note in found.report.notes)
    assert rounded == (dtype == "float64")


def test_paths_of_other_programs_are_found(dataset: ep.Dataset, place: Path) -> None:
    folder = dataset.source.folder
    ids = ids_of(dataset)
    paths = [f"./{ids[0]}", f"{folder}/{ids[1]}", ids[2].replace("/", "\\"), *ids[3:]]
    for suffix, text in {
        ".txt": "\r\n".join(paths),
        ".json": json.dumps(paths),
        ".csv": "\n".join(["path,other", *(f"{path},1" for path in paths)]),
        ".jsonl": "\n".join(json.dumps({"file_name": path}) for path in paths),
    }.items():
        file = place / f"paths{suffix}"
        file.write_text(text, encoding="utf-8")
        np.save(place / "v.npy", VECTORS)
        found = ep.import_vectors(dataset, place / "v.npy", paths=file, name=suffix[1:])
        assert np.array_equal(found.matrix, VECTORS)
        (note,) = found.report.notes
        assert note.startswith(f"{place / 'v.npy'}: 2 paths rewritten: ")


def test_images_without_a_vector_are_named(dataset: ep.Dataset, place: Path) -> None:
    ids = ids_of(dataset)
    found = ep.embed(dataset, vectors=write_npy(place, ids[:-2], VECTORS[:-2]))
    name = f"imported:{found.spec.backbone['architecture']}"
    assert [each.message for each in found.failures] == [
        f"`{path}` has no vector in {name}." for path in ids[-2:]
    ]
    assert found.report.failed == 2
    with pytest.raises(ep.errors.NotCachedError) as error:
        ep.embed(dataset, backbone=name, require_cached=True)
    assert str(error.value) == (
        f"2 of the 12 images of {dataset.name!r} have no vector in {name}; the first is "
        f"{ids[-2]!r}. Import a file with their vectors: `embedpipe import-vectors DATASET "
        f"FILE --name {name.removeprefix('imported:')}`, or leave out --require-cached."
    )
    other = ep.load_dataset("digits").subset("test")
    with pytest.raises(ep.errors.DatasetError, match="397 of the 397 images of 'digits-test' have"):
        ep.embed(other, backbone=name)
    # The vectors of the other images can be added under the same name.
    rest = write_npy(place, ids[-3:], VECTORS[-3:])
    whole = ep.embed(dataset, backbone=name, vectors=rest)
    assert (whole.spec, whole.report.embedded, whole.failures) == (found.spec, 2, ())
    assert np.array_equal(whole.matrix, VECTORS)
    with pytest.raises(ep.errors.VectorFileError) as fault:
        ep.import_vectors(dataset, -VECTORS, paths=ids, name=name.removeprefix("imported:"))
    assert str(fault.value) == (
        f"the array of vectors: the vector of {ids[0]!r} differs from the stored vector of this "
        f"image in {name}. Choose another name. Nothing was stored."
    )


def changed(row: int, value: float) -> Any:
    vectors = VECTORS.astype(np.float64)
    vectors[row, 1] = value
    return vectors


def ragged(place: Path, ids: list[str], lengths: list[int | None]) -> Path:
    rows = [None if length is None else [0.5] * length for length in lengths]
    table = {"path": ids, "v": pa.array(rows, pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), place / "v.parquet")
    return place / "v.parquet"


def no_paths(place: Path, ids: list[str]) -> Path:
    write_npy(place, ids, VECTORS)
    (place / "v.txt").unlink()
    return place / "v.npy"


def several_paths(place: Path, ids: list[str]) -> Path:
    (place / "v.csv").write_text("path\n")
    return write_npy(place, ids, VECTORS)


def damaged(place: Path, ids: list[str], write: Callable[..., Path]) -> Path:
    file = write(place, ids, VECTORS)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file


def without_paths(place: Path, ids: list[str]) -> Path:
    pq.write_table(pa.table({"v": [[1.0]], "w": [1]}), place / "v.parquet")
    return place / "v.parquet"


def two_columns(place: Path, ids: list[str]) -> Path:
    pq.write_table(pa.table({"path": ["a"], "v": [[1.0]], "w": [[1.0]]}), place / "v.parquet")
    return place / "v.parquet"


def open_header(place: Path, ids: list[str]) -> Path:
    file = write_npy(place, ids, VECTORS)
    file.write_bytes(file.read_bytes().replace(b"}", b"(", 1))
    return file


def encrypted(place: Path, ids: list[str]) -> Path:
    file = write_npz(place, ids, VECTORS)
    data = bytearray(file.read_bytes())
    for begin, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(begin) + flags] |= 1
    file.write_bytes(data)
    return file


def huge(place: Path, ids: list[str]) -> Path:
    file = place / "v.npz"
    with zipfile.ZipFile(file, "w") as archive, archive.open("vectors.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 1 << 10)}
        np.lib.format.write_array_header_1_0(member, header)
    return file


def not_utf_8(place: Path, ids: list[str]) -> Path:
    file = write_parquet(place, [*ids[:-1], "QQQQ.jpg"], VECTORS)
    file.write_bytes(file.read_bytes().replace(b"QQQQ", b"Caf\xe9"))
    return file


FAULTS: dict[str, tuple[Callable[[Path, list[str]], Path], str]] = {
    "NaN": (
        lambda place, ids: write_npy(place, ids, changed(7, np.nan)),
        "{file}: the vector of '{id7}' (row 7) has NaN, infinity or a number beyond float32. "
        "Nothing was stored.",
    ),
    "beyond float32": (
        lambda place, ids: write_npz(place, ids, changed(7, 1e39)),
        "{file}: the vector of '{id7}' (row 7) has NaN, infinity or a number beyond float32. "
        "Nothing was stored.",
    ),
    "ragged": (
        lambda place, ids: ragged(place, ids, [3] * (N - 1) + [4]),
        "{file}: row 11 has a vector of 4 numbers; the first vector has 3. Nothing was stored.",
    ),
    "null": (
        lambda place, ids: ragged(place, ids, [3] * (N - 1) + [None]),
        "{file}: row 11 has no vector; the first vector has 3. Nothing was stored.",
    ),
    "fewer paths": (
        lambda place, ids: write_npy(place, ids[:-1], VECTORS),
        "{file}: 12 vectors, but 11 paths. Give one path for each vector, in the same order. "
        "Nothing was stored.",
    ),
    "unknown path": (
        lambda place, ids: write_npy(place, [*ids[:-1], "x.jpg"], VECTORS),
        "1 of 12 paths in {file} is not in the dataset: 'x.jpg'. Paths must be relative to the "
        "dataset's folder, such as '{id0}'. Nothing was stored. `import-vectors --skip-unknown` "
        "leaves the other paths out.",
    ),
    "repeated path": (
        lambda place, ids: write_npy(place, [*ids[:-1], f"./{ids[0]}"], VECTORS),
        "{file}: rows 0 and 11 are both of '{id0}'. Keep one of the two. Nothing was stored.",
    ),
    "no vectors": (
        lambda place, ids: ragged(place, [], []),
        "{file}: there are no vectors. Nothing was stored.",
    ),
    "one dimension": (
        lambda place, ids: write_npy(place, ids, VECTORS[:, 0]),
        "{file}: expected an array of rows x dimensions; got the shape (12,). Nothing was stored.",
    ),
    "text": (
        lambda place, ids: write_npy(place, ids, VECTORS.astype(str)),
        "{file}: the array has the type str1024; expected numbers, such as float32. Nothing was "
        "stored.",
    ),
    "pickle": (
        lambda place, ids: write_npy(place, ids, VECTORS.astype(object)),
        "{file}: it is not an array of numbers (it contains objects, not numbers). Nothing was "
        "stored.",
    ),
    "pickle in npz": (
        lambda place, ids: write_npz(place, ids, VECTORS.astype(object)),
        "{file}: it is not an archive of arrays of numbers (Object arrays cannot be loaded when "
        "allow_pickle=False). Nothing was stored.",
    ),
    "no paths": (
        no_paths,
        "{file}: it has no paths: write v.txt beside it, with a path on each line, or give another "
        "file to `import-vectors --paths`. Nothing was stored.",
    ),
    "several files of paths": (
        several_paths,
        "{file}: the paths are ambiguous: v.txt and v.csv. Keep one, or give --paths FILE. Nothing "
        "was stored.",
    ),
    "no column of paths": (
        without_paths,
        "{file}: there is no column of paths: expected path, paths, file_name, filename, filenames "
        "or filepath; it has: v, w. Nothing was stored.",
    ),
    "two columns": (
        two_columns,
        "{file}: expected one column of vectors, or one called embedding; it has: v, w. Nothing "
        "was stored.",
    ),
    "damaged npy": (lambda place, ids: damaged(place, ids, write_npy), "{file}: it is not an "),
    "damaged npz": (lambda place, ids: damaged(place, ids, write_npz), "{file}: it is not an a"),
    "damaged Parquet": (
        lambda place, ids: damaged(place, ids, write_parquet), "{file}: it is damaged (",
    ),
    "open bracket in npy": (
        open_header, "{file}: it is not an array of numbers (its header is damaged: ",
    ),
    "encrypted npz": (encrypted, "{file}: it is not an archive of arrays of numbers ("),
    "huge npz": (huge, "{file}: it is not an archive of arrays of numbers ("),
    "path not in UTF-8": (not_utf_8, "{file}: it is damaged ("),
    "cut line in CSV": (
        lambda place, ids: damaged(place, ids, write_lightly), "{file}, line 7: ",
    ),
    "missing file": (lambda place, ids: place / "none.npy", "there is no file at {file}."),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_one_clear_line_and_nothing_is_stored(
    dataset: ep.Dataset, place: Path, fault: str
) -> None:
    make, expected = FAULTS[fault]
    ids = ids_of(dataset)
    file = make(place, ids)
    with pytest.raises(ep.errors.VectorFileError) as error:
        ep.embed(dataset, vectors=file)
    message = str(error.value)
    expected = expected.format(file=file, id0=ids[0], id7=ids[7])
    assert message == expected if expected.endswith(".") else message.startswith(expected)
    assert message.endswith(".")
    assert "\n" not in message
    assert not (place / "workspace" / "cache").exists()


@pytest.mark.parametrize("form", [Path, str, iter, np.array])
def test_paths_of_an_array_in_python(dataset: ep.Dataset, place: Path, form: Any) -> None:
    ids = ids_of(dataset)
    paths = list(map(form, ids)) if form in (Path, str) else form(ids)
    found = ep.import_vectors(dataset, VECTORS, paths=paths)
    assert np.array_equal(found.matrix, VECTORS)
    assert ep.import_vectors(dataset, VECTORS, paths=ids).spec == found.spec  # equal digests


@pytest.mark.parametrize(
    ("vectors", "clause"),
    [
        ([[1.0], [1.0, 2.0]], "expected rows of equal length"),
        (np.zeros((2, 3), "M8[s]"), "the array has the type datetime64[s]; expected numbers, such"),
    ],
)
def test_an_array_without_rows_of_numbers(dataset: ep.Dataset, vectors: Any, clause: str) -> None:
    with pytest.raises(ep.errors.VectorFileError) as error:
        ep.import_vectors(dataset, vectors, paths=ids_of(dataset)[:2], name="mine")
    assert str(error.value).startswith(f"the array of vectors: {clause}")


def test_vectors_of_other_images_can_be_left_out(dataset: ep.Dataset, place: Path) -> None:
    ids = [*ids_of(dataset), "x.jpg", "y.jpg"]
    vectors = np.concatenate([VECTORS, VECTORS[:2]])
    found = ep.import_vectors(dataset, vectors, paths=ids, name="all", skip_unknown=True)
    assert np.array_equal(found.matrix, VECTORS)
    assert found.report.notes == ("the array of vectors: 2 vectors of other images left out",)
    with pytest.raises(ep.errors.VectorFileError, match="2 of 2 paths in the array of vectors are"):
        ep.import_vectors(dataset, vectors[-2:], paths=ids[-2:], name="no", skip_unknown=True)


def test_copies_of_an_image_need_equal_vectors(photos: Callable[..., Path], place: Path) -> None:
    folder = photos(N)
    first, copy = "class0/0000.jpg", "class2/copy.jpg"
    shutil.copy(folder / first, folder / copy)
    dataset = ep.load_dataset(folder)
    ids = ids_of(dataset)
    vectors = np.random.default_rng(1).normal(size=(N + 1, DIM)).astype(np.float32)
    with pytest.raises(ep.errors.VectorFileError) as error:
        ep.import_vectors(dataset, vectors, paths=ids, name="copies")
    assert str(error.value) == (
        f"the array of vectors: {first!r} and {copy!r} are the same image (equal bytes), but have "
        "different vectors. Remove one of the rows. Nothing was stored."
    )
    assert specs_of_library(ep.Workspace(), "imported") == []
    vectors[ids.index(copy)] = vectors[0] * 1.001  # a rounding error: the first one is stored
    found = ep.import_vectors(dataset, vectors, paths=ids, name="copies")
    assert np.array_equal(found.matrix[ids.index(copy)], vectors[0])
    assert (found.report.embedded, found.report.reused) == (N, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "toy", "vectors": "v.npy"}, "--vectors and --backbone toy exclude each "),
        ({"backbone": "imported:a b"}, "the name 'a b' of imported vectors is invalid: "),
        ({"backbone": "imported:none"}, "has no imported vectors called 'none'. `embedpipe "),
        ({"vectors": "v.npy", "views": "flip"}, "--views flip has no use for imported vectors: "),
        ({"vectors": "v.npy", "weights": "w"}, "--weights has no use for imported vectors: "),
        ({"vectors": "v.npy", "precision": "bf16"}, "--precision bf16 has no use for imported "),
        ({"vectors": "v.pkl"}, "v.pkl is not a file of vectors: its name must end in .npy, "),
    ],
)
def test_wrong_options(dataset: ep.Dataset, place: Path, options: Any, message: str) -> None:
    (place / "v.pkl").touch()
    write_npy(place, ids_of(dataset), VECTORS)
    for name in {"vectors"} & options.keys():
        options = {**options, name: place / options[name]}
    with pytest.raises(ep.errors.UsageError) as error:
        ep.embed(dataset, **options)
    assert message in str(error.value)


KILLED = """
import os, signal, sys
import embedpipe as ep
from embedpipe.cache import Store
from embedpipe.embedding import imports

imports.FRAGMENT_ROWS = 4
from embedpipe.embedding import vector_files
vector_files.BLOCK_ROWS = 4
add, done = Store.add, []

def killed(*arguments):
    done.append(add(*arguments))
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Store.add = killed
ep.embed(ep.load_dataset(sys.argv[1]), vectors=sys.argv[2])
"""


def test_a_killed_import_is_sound_and_completed(dataset: ep.Dataset, place: Path) -> None:
    file = write_parquet(place, ids_of(dataset), VECTORS)
    command = [sys.executable, "-c", KILLED, str(dataset.source.folder), str(file)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert ep.verify(ep.Workspace()) == []
    (spec,) = specs_of_library(ep.Workspace(), "imported")
    half = ep.embed(dataset, backbone=f"imported:{spec.backbone['architecture']}")
    assert len(half.failures) == 4
    whole = ep.embed(dataset, vectors=file)
    assert (whole.spec, whole.report.embedded, whole.failures) == (spec, 4, ())
    assert whole.matrix.tobytes() == VECTORS.tobytes()


def test_a_lost_fragment_is_imported_again(dataset: ep.Dataset, place: Path) -> None:
    file = write_parquet(place, ids_of(dataset), VECTORS)
    first = ep.embed(dataset, vectors=file)
    (fragment,) = (ep.Workspace().cache / first.spec.id / "fragments").iterdir()
    fragment.write_bytes(fragment.read_bytes()[:-9])
    assert [each.path for each in ep.collect_garbage(ep.Workspace())] == [fragment]
    again = ep.embed(dataset, vectors=file)
    assert (again.spec, again.report.embedded) == (first.spec, N)
    assert again.matrix.tobytes() == VECTORS.tobytes()


def test_changed_images_have_no_vector(dataset: ep.Dataset, place: Path) -> None:
    file = write_npy(place, ids_of(dataset), VECTORS)
    ep.embed(dataset, vectors=file)
    (dataset.source.folder / dataset.items[0].id).write_bytes(b"edited")
    found = ep.embed(replace(dataset), vectors=file)
    assert [failure.path for failure in found.failures] == [dataset.items[0].id]
    assert np.array_equal(found.matrix, VECTORS[1:])
