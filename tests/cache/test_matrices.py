import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pyarrow as pa
import pytest

from embedpipe._files import SETTLED_NS, CheckedFiles
from embedpipe._workspace import Workspace
from embedpipe.cache import CONTENT_ID, Row, Spec, Store, earlier_of, matrices, open_matrix, verify
from embedpipe.cache.matrices import in_use

SPEC = Spec({"architecture": "plain", "dim": 8}, {"size": [1, 1]}, "fp32")


def content(number):
    return hashlib.sha256(b"%d" % number).digest()


def ids(numbers):
    return pa.array([content(number) for number in numbers], CONTENT_ID)


def vector(number):
    return np.random.default_rng(number).standard_normal(8).astype(np.float32)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    store = Store(workspace, SPEC)
    store.create()
    for start in range(0, 60, 20):
        numbers = range(start, start + 20)
        store.add([Row(content(each), vector(each), 1, 1, 1) for each in numbers], {})
    return workspace


def opened(workspace, numbers):
    return open_matrix(workspace, Store(workspace, SPEC), ids(numbers))


def expect(workspace, numbers):
    """Open the matrix of some images, and compare all vectors; return its folder and digest."""
    matrix, folder, digest = opened(workspace, numbers)
    np.testing.assert_array_equal(matrix, np.stack([vector(number) for number in numbers]))
    return folder, digest


@pytest.fixture
def read_ids(monkeypatch):
    """Return the lists of images whose vectors are read from fragments."""
    found, real = [], Store.vectors_for

    def counted(self, content_ids):
        found.append(len(content_ids))
        return real(self, content_ids)

    monkeypatch.setattr(Store, "vectors_for", counted)
    return found


@pytest.mark.parametrize("block", [16 << 20, 64])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (list(range(40)), list(range(50))),
        (list(range(0, 40, 2)), list(range(0, 39))),
        ([3, 3, 4, 5, 4], [1, 3, 3, 7, 4, 5, 4, 4]),
        (list(range(10)), [*range(10), 0, 1]),
    ],
)
def test_a_matrix_grows_by_its_new_rows(old, new, block, workspace, read_ids, monkeypatch):
    monkeypatch.setattr(matrices, "BLOCK_BYTES", block)
    first, digest = expect(workspace, old)
    read_ids.clear()
    second, grown = expect(workspace, new)
    assert read_ids == [len(new) - len(old)]
    earlier = earlier_of(second)
    assert (earlier.folder, earlier.digest) == (first, digest)
    assert [new[row] for row in earlier.rows] == old
    assert (np.diff(earlier.rows) > 0).all()
    assert earlier_of(first) is None
    assert verify(workspace) == []
    shutil.rmtree(first)
    shutil.rmtree(second)
    assert expect(workspace, new)[1] == grown  # the digest does not depend on the history
    assert earlier_of(second) is None


def test_digests_of_equal_blocks_are_not_computed_again(workspace, monkeypatch):
    monkeypatch.setattr(matrices, "BLOCK_BYTES", 32 * 7)  # blocks of seven rows
    first, _ = expect(workspace, range(40))
    starts = []
    real = matrices._block_digests
    monkeypatch.setattr(
        matrices,
        "_block_digests",
        lambda matrix, start=0: starts.append(start) or real(matrix, start),
    )
    second, _ = expect(workspace, range(45))
    assert 5 in starts  # 35 of the first 40 rows are in whole blocks
    blocks = [
        json.loads((folder / "meta.json").read_text())["blocks"] for folder in (first, second)
    ]
    assert blocks[0][:5] == blocks[1][:5]
    assert [len(each) for each in blocks] == [6, 7]
    data = np.load(second / "embeddings.npy")
    assert blocks[1][0] == hashlib.sha256(data[:7].tobytes()).hexdigest()


@pytest.mark.parametrize("other", [[0, 2, 1], [0, 1, 50], [5, 6], list(range(20))])
def test_other_lists_of_images_are_built_from_fragments(other, workspace, read_ids):
    expect(workspace, other)
    read_ids.clear()
    folder, _ = expect(workspace, [0, 1, 2, 3, 4])
    assert read_ids == [5]
    assert earlier_of(folder) is None


def test_a_damaged_matrix_is_not_copied(workspace, read_ids):
    first, _ = expect(workspace, range(40))
    path = first / "embeddings.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    read_ids.clear()
    expect(workspace, range(45))
    assert read_ids == [45]


def test_the_age_of_a_file_is_that_before_it_is_read(workspace, monkeypatch):
    folder, _ = expect(workspace, range(40))
    (folder / "embeddings.npy").touch()
    now = [(folder / "embeddings.npy").stat().st_mtime_ns]
    monkeypatch.setattr(matrices.time, "time_ns", lambda: now[0])
    real = matrices._block_digests

    def slowly(*given):
        now[0] += 60_000_000_000
        return real(*given)

    monkeypatch.setattr(matrices, "_block_digests", slowly)
    expect(workspace, range(40))
    assert now[0] > (folder / "embeddings.npy").stat().st_mtime_ns
    assert not (folder / "checked.json").exists()


@pytest.mark.parametrize("how", ["another row", "empty", "fewer"])
def test_damaged_rows_of_an_earlier_matrix_are_not_used(how, workspace):
    expect(workspace, [*range(3), *range(4, 40)])
    folder, _ = expect(workspace, range(50))
    rows = earlier_of(folder).rows.copy()
    rows[2] = 3
    path = folder / "earlier-rows.npy"
    np.save(path, rows if how == "another row" else rows[:5])
    if how == "empty":
        path.write_bytes(b"")
    assert earlier_of(folder) is None


@pytest.mark.parametrize("blocks", ["one altered", None, 3])
def test_altered_digests_of_blocks_are_not_copied(blocks, workspace, read_ids, monkeypatch):
    monkeypatch.setattr(matrices, "BLOCK_BYTES", 64)
    first, _ = expect(workspace, range(40))
    meta = json.loads((first / "meta.json").read_text())
    meta["blocks"] = ["0" * 64, *meta["blocks"][1:]] if blocks == "one altered" else blocks
    (first / "meta.json").write_text(json.dumps(meta))
    expect(workspace, range(50))
    assert verify(workspace) == []
    read_ids.clear()
    expect(workspace, range(50))
    assert read_ids == []  # valid, so not built again


def test_a_matrix_may_be_removed_while_it_is_copied(workspace, monkeypatch):
    first, _ = expect(workspace, range(40))
    real = matrices._fill

    def removed(*given):
        assert in_use(first)  # `cache gc` keeps it
        shutil.rmtree(first)
        return real(*given)

    monkeypatch.setattr(matrices, "_fill", removed)
    expect(workspace, range(50))
    assert verify(workspace) == []


def test_an_unchanged_matrix_is_not_read_again(workspace, monkeypatch):
    folder, digest = expect(workspace, range(40))
    monkeypatch.setattr("embedpipe._files.SETTLED_NS", 0)
    calls, real = [], matrices._block_digests
    monkeypatch.setattr(matrices, "_block_digests", lambda *given: calls.append(1) or real(*given))
    assert expect(workspace, range(40)) == (folder, digest)
    assert len(calls) == 1  # checked, and remembered
    assert expect(workspace, range(40)) == (folder, digest)
    assert len(calls) == 1
    assert verify(workspace) == []
    assert len(calls) == 2  # `cache verify` reads all bytes
    path = folder / "embeddings.npy"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same time of change
    assert expect(workspace, range(40))[1] == digest  # built again
    assert len(calls) > 3


def test_a_young_file_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a")
    checked = CheckedFiles(tmp_path)
    changed = path.stat().st_ctime_ns
    checked.add("a", path.stat(), "digest", changed + SETTLED_NS - 1)
    assert not checked.knows("a", path.stat(), "digest")
    assert not (tmp_path / "checked.json").exists()
    checked.add("a", path.stat(), "digest", changed + SETTLED_NS)
    assert checked.knows("a", path.stat(), "digest")
    (tmp_path / "checked.json").write_text("damaged")
    assert not checked.knows("a", path.stat(), "digest")


def grow(root):
    opened(Workspace(root), range(60))


def test_a_kill_leaves_the_old_or_the_new_matrix(workspace, read_ids):
    first, digest = expect(workspace, range(50))
    context = multiprocessing.get_context("fork")
    for delay in np.linspace(0, 0.05, 12):
        process = context.Process(target=grow, args=(workspace.root,))
        process.start()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert verify(workspace) == []
        assert expect(workspace, range(50)) == (first, digest)
        for folder in workspace.matrices.glob("*/*"):
            if folder.name.startswith(".tmp-"):
                shutil.rmtree(folder)
            elif folder.name != first.name:
                meta = json.loads((folder / "meta.json").read_text())
                data = np.load(folder / "embeddings.npy")
                assert meta["shape"] == list(data.shape)
                shutil.rmtree(folder)
    read_ids.clear()
    expect(workspace, range(60))
