"""The store: fragments, damage, matrices and the canary."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedpipe._workspace import Workspace
from embedpipe.backbones import ToyBackbone
from embedpipe.cache import (
    CONTENT_ID,
    Failure,
    Row,
    Spec,
    Store,
    collect_garbage,
    list_specs,
    open_matrix,
    verify,
)
from embedpipe.datasets import load_dataset
from embedpipe.embedding import Embeddings, embed
from embedpipe.errors import CacheError, DamagedFileError, DriftError

SPEC = Spec({"library": "none", "architecture": "plain", "dim": 4}, {"size": [1, 1]}, "fp32")


def content(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def row(number: int) -> Row:
    return Row(content(number), np.full(4, number, np.float32), 10, 20, 300 + number)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def store(workspace: Workspace) -> Store:
    store = Store(workspace, SPEC)
    store.create()
    store.add([row(0), row(1), row(2)], {"runtime": "test 1"})
    return store


def fragment(store: Store) -> Path:
    return next((store.folder / "fragments").iterdir())


def test_spec_id_is_the_digest_of_the_canonical_json() -> None:
    text = (
        '{"backbone":{"architecture":"plain","dim":4,"library":"none"},'
        '"precision":"fp32","preprocess":{"size":[1,1]}}'
    )
    assert SPEC.to_json() == text
    assert SPEC.id == hashlib.sha256(text.encode()).hexdigest()


def test_a_fragment_is_readable_by_duckdb_and_pandas(store: Store) -> None:
    path = fragment(store)
    table = pq.read_table(path)
    assert table.schema.field("content_id").type == pa.binary(32)
    assert table.schema.field("embedding").type == pa.list_(
        pa.field("element", pa.float32(), nullable=False), 4
    )
    assert not any(field.nullable for field in table.schema)
    assert table["content_id"].to_pylist() == [content(0), content(1), content(2)]
    assert table["embedding"].to_pylist()[2] == [2.0] * 4
    assert table.select(["width", "height", "n_bytes"]).to_pylist()[1] == {
        "width": 10, "height": 20, "n_bytes": 301,
    }  # fmt: skip
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    vectors = np.repeat(np.arange(3, dtype=np.float32), 4)
    assert metadata["vectors_sha256"] == hashlib.sha256(vectors.tobytes()).hexdigest()
    assert metadata["rows"] == "3"
    assert metadata["spec"] == SPEC.to_json()
    assert metadata["provenance"] == '{"runtime": "test 1"}'
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    assert column.path_in_schema == "embedding.list.element"
    assert column.statistics is None
    assert set(column.encodings) <= {"PLAIN", "RLE"}
    assert column.compression == "UNCOMPRESSED"


def test_the_name_of_a_fragment_is_the_digest_of_its_bytes(store: Store) -> None:
    path = fragment(store)
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()


def test_writing_the_same_rows_again_changes_nothing(store: Store) -> None:
    before = fragment(store).stat()
    store.add([row(0), row(1), row(2)], {"runtime": "test 1"})
    assert len(list((store.folder / "fragments").iterdir())) == 1
    assert fragment(store).stat().st_mtime_ns == before.st_mtime_ns


def test_the_union_has_each_image_once(store: Store, workspace: Workspace) -> None:
    store.add([row(2), row(3)], {"runtime": "test 2"})
    ids = pa.array([content(n) for n in (3, 0, 3, 2)], CONTENT_ID)
    matrix, _, _ = open_matrix(workspace, store, ids)
    assert matrix.tolist() == [[3.0] * 4, [0.0] * 4, [3.0] * 4, [2.0] * 4]
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert not matrix.flags.writeable
    assert list_specs(workspace)[0]["rows"] == 4


def test_missing_marks_images_without_a_vector(store: Store) -> None:
    ids = pa.array([content(1), content(9), None], CONTENT_ID)
    assert store.missing(ids).tolist() == [False, True, True]


def test_missing_searches_all_fragments_for_copies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedpipe.cache.store.SEARCHED", 3)  # several searches
    for start in range(10, 20, 2):
        store.add([Row(content(start), np.zeros(4, np.float32), 1, 1, 1)], {"runtime": "test"})
    ids = [content(18), content(11), content(10), None, content(18), content(11)]
    assert store.missing(pa.array(ids, CONTENT_ID)).tolist() == [
        False, True, False, True, False, True,
    ]  # fmt: skip
    assert store.missing(pa.array([], CONTENT_ID)).tolist() == []
    assert store.missing(pa.array([None], CONTENT_ID)).tolist() == [True]


def test_the_sizes_of_images(store: Store, workspace: Workspace) -> None:
    store.add([Row(content(7), np.zeros(4, np.float32), 640, 480, 9)], {"runtime": "test 2"})
    ids = pa.array([content(7), content(9), None, content(1)], CONTENT_ID)
    assert store.sizes_for(ids).tolist() == [[640, 480], [0, 0], [0, 0], [10, 20]]
    empty = Store(workspace, Spec(SPEC.backbone, SPEC.preprocess, "bf16"))
    assert empty.sizes_for(ids).tolist() == [[0, 0]] * 4


def test_a_vector_replaces_a_failure(store: Store) -> None:
    failures = [
        Failure("a.jpg", content(7), "decode", "truncated"),
        Failure("b.jpg", content(8), "decode", "not an image"),
        Failure("c.jpg", None, "read", "permission denied"),
    ]
    store.add_failures(failures, {})
    assert store.failures() == {content(7): failures[0], content(8): failures[1]}
    store.add([row(7)], {})
    assert store.failures() == {content(8): failures[1]}


def test_a_matrix_without_all_vectors_is_an_error(store: Store, workspace: Workspace) -> None:
    ids = pa.array([content(1), content(9), content(8)], CONTENT_ID)
    with pytest.raises(CacheError) as caught:
        open_matrix(workspace, store, ids)
    assert str(caught.value) == (
        f"2 of 3 images have no vector in the cache; the first is {content(9).hex()}. Run "
        "`embedpipe embed` on the dataset."
    )
    assert list(workspace.matrices.glob("*/*")) == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text("I am not a fragment")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "truncated"),
    "empty": (empty, "empty"),
    "foreign": (replace_by_text, "not a fragment of this cache"),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("kind", ["fragments", "failures"])
def test_a_damaged_fragment_is_reported_refused_and_removed(
    store: Store, workspace: Workspace, damage: str, kind: str
) -> None:
    store.add_failures([Failure("a.jpg", content(7), "decode", "truncated")], {})
    path = next((store.folder / kind).iterdir())
    break_it, reason = DAMAGES[damage]
    break_it(path)
    assert [(p.path, p.reason) for p in verify(workspace)] == [(path, reason)]
    with pytest.raises(DamagedFileError, match=path.name):
        if kind == "fragments":
            open_matrix(workspace, store, pa.array([content(0)], CONTENT_ID))
        else:
            store.failures()
    assert [p.path for p in collect_garbage(workspace, dry_run=True)] == [path]
    assert path.exists()
    assert [p.path for p in collect_garbage(workspace)] == [path]
    assert not path.exists()
    assert verify(workspace) == []


def test_any_flipped_bit_is_reported_and_refused(store: Store, workspace: Workspace) -> None:
    path = fragment(store)
    whole = path.read_bytes()
    ids = pa.array([content(0), content(1), content(2)], CONTENT_ID)
    for position in range(0, len(whole), max(1, len(whole) // 150)):
        broken = bytearray(whole)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(broken)
        assert [problem.path for problem in verify(workspace)] == [path], position
        with pytest.raises(DamagedFileError, match=path.name):
            open_matrix(workspace, store, ids)
    path.write_bytes(whole)
    assert verify(workspace) == []
    assert len(open_matrix(workspace, store, ids)[0]) == 3


def test_other_files_are_reported_and_kept(store: Store, workspace: Workspace) -> None:
    stranger = store.folder / "fragments" / "notes.txt"
    stranger.write_text("mine")
    lone = workspace.cache / "readme.md"
    lone.write_text("mine too")
    found = {problem.path: problem.reason for problem in verify(workspace)}
    assert found == {stranger: "not a file of this cache", lone: "not a file of this cache"}
    assert collect_garbage(workspace) == []
    assert stranger.exists()
    assert len(store.content_ids()) == 3


def test_a_fragment_of_another_spec_is_reported(store: Store, workspace: Workspace) -> None:
    other = Store(workspace, Spec(SPEC.backbone, {"size": [2, 2]}, "fp32"))
    other.create()
    foreign = other.folder / "fragments" / fragment(store).name
    foreign.parent.mkdir()
    shutil.copy(fragment(store), foreign)
    assert [(p.path, p.reason) for p in verify(workspace)] == [
        (foreign, "a fragment of another spec")
    ]
    with pytest.raises(DamagedFileError, match="is a fragment of another spec"):
        other.content_ids()
    with pytest.raises(DamagedFileError, match="is a fragment of another spec"):
        list(other.vectors())


def test_an_altered_spec_is_refused(store: Store, workspace: Workspace) -> None:
    path = store.folder / "spec.json"
    path.write_text(path.read_text().replace("plain", "plane"))
    with pytest.raises(DamagedFileError, match=r"spec\.json is altered"):
        store.create()
    assert [problem.path for problem in verify(workspace)] == [path]
    collect_garbage(workspace)
    store.create()
    assert verify(workspace) == []


def test_a_damaged_matrix_is_reported_and_built_again(store: Store, workspace: Workspace) -> None:
    ids = pa.array([content(0), content(1)], CONTENT_ID)
    expected = open_matrix(workspace, store, ids)[0].tolist()
    (folder,) = workspace.matrices.glob("*/*")
    damages: dict[str, tuple[str, Callable[[Path], None]]] = {
        "embeddings.npy is altered: its bytes do not match their digest": (
            "embeddings.npy",
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!") and None,
        ),
        "embeddings.npy is missing or damaged": ("embeddings.npy", empty),
        "meta.json is missing or damaged": ("meta.json", truncate),
        "the matrix is for another spec or other items": (
            "meta.json",
            lambda path: path.write_text(path.read_text().replace(SPEC.id, "0" * 64)) and None,
        ),
    }
    for reason, (name, break_it) in damages.items():
        break_it(folder / name)
        assert [(p.path, p.reason) for p in verify(workspace)] == [(folder, reason)]
        assert open_matrix(workspace, store, ids)[0].tolist() == expected
        assert verify(workspace) == []


def test_gc_removes_all_matrices_on_request(store: Store, workspace: Workspace) -> None:
    ids = pa.array([content(0)], CONTENT_ID)
    open_matrix(workspace, store, ids)
    (folder,) = workspace.matrices.glob("*/*")
    (stale,) = collect_garbage(workspace, dry_run=True)
    assert (stale.path, stale.reason) == (folder, "stale: no dataset has these items")
    assert [problem.path for problem in collect_garbage(workspace, matrices=True)] == [folder]
    assert not folder.exists()
    assert open_matrix(workspace, store, ids)[0].tolist() == [[0.0] * 4]


def test_old_leftovers_of_killed_runs_are_removed(store: Store, workspace: Workspace) -> None:
    left = store.folder / "fragments" / ".tmp-1-abc-x.parquet"
    left.write_bytes(b"PAR1 half")
    assert verify(workspace) == []  # its writer may be at work
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    reason = "unfinished: left over from a run that was killed"
    assert [(p.path, p.reason) for p in collect_garbage(workspace)] == [(left, reason)]
    assert not left.exists()


def test_drift_of_the_canary_is_an_error(store: Store) -> None:
    vectors = np.ones((2, 4), np.float32)
    store.check_canary(lambda: vectors, {"runtime": "one"})
    store.check_canary(lambda: vectors * 1.0005, {"runtime": "two"})
    with pytest.raises(DriftError) as caught:
        store.check_canary(lambda: vectors * 1.01, {"runtime": "two"})
    assert str(caught.value) == (
        f"this machine's vectors differ by 0.01 of their length from those in {store.folder} (the "
        "limit is 0.001). The stored vectors were computed with {'runtime': 'one'}, the new "
        "vectors with {'runtime': 'two'}. Nothing was added. Use the former --runtime and "
        "versions, --precision fp32, or another --workspace."
    )
    with pytest.raises(DriftError):
        store.check_canary(lambda: vectors * np.nan, {})
    with pytest.raises(DriftError, match="has 2 test images; this version of embedpipe has 1"):
        store.check_canary(lambda: vectors[:1], {})


def test_a_damaged_canary_is_reported(store: Store, workspace: Workspace) -> None:
    store.check_canary(lambda: np.ones((2, 4), np.float32), {})
    path = store.folder / "canary.json"
    path.write_text(path.read_text().replace("1.0", "2.0", 1))
    reason = "altered: its content does not match its digest"
    assert [(p.path, p.reason) for p in verify(workspace)] == [(path, reason)]
    with pytest.raises(DamagedFileError, match=r"canary\.json is damaged"):
        store.check_canary(lambda: np.ones((2, 4), np.float32), {})


class Drifting(ToyBackbone):
    """The toy backbone with changed vectors."""

    def open(self, **options: object) -> object:  # type: ignore[override]
        encoder = super().open(precision="fp32", runtime="auto", batch_size=8)
        plain = encoder.encode
        encoder.encode = lambda pixels: plain(pixels) * 1.1  # type: ignore[method-assign]
        return encoder


def test_a_run_with_drift_adds_no_rows(photos: Callable[..., Path], workspace: Workspace) -> None:
    options = {"workspace": workspace, "precision": "fp32"}
    first = embed(load_dataset(str(photos(4, 2, "one"))), backbone="toy", **options)
    with pytest.raises(DriftError, match=r"differ by 0\.1 of their length"):
        embed(load_dataset(str(photos(8, 2, "two"))), backbone=Drifting(), **options)
    assert len(Store(workspace, first.spec).content_ids()) == 4


def embed_in_child(folder: Path, workspace: Path, limit: int | None = None) -> str:
    """Embed in another process and return its standard error."""

    def restrict() -> None:
        if limit is not None:
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "embedpipe", "embed", str(folder), "--backbone", "toy",
         "--precision", "fp32", "--workspace", str(workspace), "--quiet"],
        capture_output=True, text=True, preexec_fn=restrict, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stderr.strip()


def test_a_limit_of_file_size_damages_no_file(photos: Callable[..., Path], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    small, large = photos(4, 2, "small"), photos(90, 2, "large")
    first = embed(load_dataset(str(small)), workspace=workspace, backbone="toy", precision="fp32")
    message = embed_in_child(large, workspace.root, limit=12_000)
    assert message == (
        f"embedpipe: cannot write to the cache at {workspace.cache}/{first.spec.id}/fragments: "
        "File too large. Nothing was changed. Free space or permit writing, then run the "
        "same command again."
    )
    assert verify(workspace) == []
    assert not list(workspace.root.rglob(".tmp-*"))
    again = embed(load_dataset(str(small)), workspace=workspace, backbone="toy", precision="fp32")
    assert again.report.reused == 4


def test_a_full_file_system_is_reported_and_damages_no_file(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        message = embed_in_child(photos(200, 2, "many"), disk)
        assert "No space left on device" in message
        assert "Traceback" not in message
        assert verify(Workspace(disk)) == []
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_read_only_workspace_is_reported(photos: Callable[..., Path]) -> None:
    message = embed_in_child(photos(4, 2), Path("/proc/embedpipe"))
    assert message.startswith("embedpipe: cannot write to the cache at /proc/embedpipe/cache/")
    assert message.endswith("Choose another place with --workspace.")


def test_matrix_and_store_agree_after_embedding(
    photos: Callable[..., Path], workspace: Workspace
) -> None:
    found: Embeddings = embed(
        load_dataset(str(photos(10, 2))), workspace=workspace, backbone="toy", precision="fp32"
    )
    stored = dict(zip(*next(iter(Store(workspace, found.spec).vectors())), strict=True))
    by_id = {key.as_py(): value for key, value in stored.items()}
    for content_id, vector in zip(found.content_ids, found.matrix, strict=True):
        assert np.array_equal(by_id[content_id], vector)
