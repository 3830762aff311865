import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from embedpipe.index.stored_arrays import ArrayStore, write_array

IDENTITY = {"matrix": "00ff", "kind": "exact"}


def keep(folder, values, identity=IDENTITY, name="squares"):
    kept = ArrayStore(folder, identity)
    kept.save(name, {"n": len(values)}, {"values.npy": write_array(np.array(values))})
    return kept


def read(folder, identity=IDENTITY, name="squares"):
    part = ArrayStore(folder, identity).load(name)
    return None if part is None else (part.parameters, part.array("values").tolist())


def test_stored_arrays_are_memory_mapped(tmp_path):
    kept = keep(tmp_path / "a" / "b", [1, 4])
    keep(tmp_path / "a" / "b", [7], name="other")
    assert kept.problem is None
    assert read(tmp_path / "a" / "b") == ({"n": 2}, [1, 4])
    assert read(tmp_path / "a" / "b", name="other") == ({"n": 1}, [7])
    assert isinstance(kept.load("squares").array("values"), np.memmap)
    files = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert files == ["meta.json", "other-values.npy", "squares-values.npy"]
    assert kept.size == sum((tmp_path / "a" / "b" / name).stat().st_size for name in files[1:])


def test_the_last_save_counts(tmp_path):
    keep(tmp_path, [1])
    keep(tmp_path, [2, 3])
    assert read(tmp_path) == ({"n": 2}, [2, 3])


@pytest.mark.parametrize("other", [{"matrix": "01ff", "kind": "exact"}, {"matrix": "00ff"}])
def test_files_of_another_matrix_are_refused_and_replaced(tmp_path, other):
    keep(tmp_path, [1])
    assert read(tmp_path, {**other, "kind": "ivf"}) is None
    keep(tmp_path, [5], {**other, "kind": "ivf"}, name="other")
    assert read(tmp_path) is None
    assert read(tmp_path, {**other, "kind": "ivf"}) is None


def test_another_format_is_refused(tmp_path, monkeypatch):
    keep(tmp_path, [1])
    monkeypatch.setattr("embedpipe.index.stored_arrays.FORMAT", 999)
    assert read(tmp_path) is None


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "flipped": damage_flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_are_refused_and_replaced(tmp_path, how):
    keep(tmp_path, [1, 4])
    DAMAGE[how](tmp_path / "squares-values.npy")
    assert read(tmp_path) is None
    keep(tmp_path, [1, 4])
    assert read(tmp_path) == ({"n": 2}, [1, 4])


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"format": 2, "matrix": "00ff", "kind": "exact"}',
        b'{"format": 2, "matrix": "00ff", "kind": "exact", "parts": {"squares": 3}}',
        b'{"format": 2, "matrix": "00ff", "kind": "exact", "parts": {"squares": {}}}',
        b'{"format": 2, "matrix": "00ff", "kind": "exact",'
        b' "parts": {"squares": {"parameters": {}, "files": {"values.npy": null}}}}',
    ],
)
def test_a_damaged_meta_is_refused_and_replaced(tmp_path, meta):
    keep(tmp_path, [1])
    (tmp_path / "meta.json").write_bytes(meta)
    assert read(tmp_path) is None
    keep(tmp_path, [4])
    assert read(tmp_path) == ({"n": 1}, [4])


def test_a_failed_write_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept = keep(tmp_path / "file", [1])
    assert kept.problem == f"cannot store squares in {tmp_path / 'file'}: File exists"
    assert kept.load("squares") is None


def test_a_full_disk_keeps_earlier_files(tmp_path):
    keep(tmp_path, [1])
    kept = ArrayStore(tmp_path, IDENTITY)

    def fail(path):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept.save("squares", {}, {"values.npy": fail})
    assert kept.problem == f"cannot store squares in {tmp_path}: No space left on device"
    assert read(tmp_path) == ({"n": 1}, [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["meta.json", "squares-values.npy"]


KILLED = """
    import os, sys
    from pathlib import Path
    import numpy as np
    from embedpipe import _files
    from embedpipe.index import stored_arrays

    left = int(sys.argv[2])
    def step():
        global left
        left -= 1
        if left < 0:
            os._exit(9)

    steps = [(os, "fsync"), (Path, "replace"), (Path, "open"), (stored_arrays, "_digest")]
    for module, name in steps:
        def wrapped(*given, _true=getattr(module, name), **named):
            step()
            found = _true(*given, **named)
            step()
            return found
        setattr(module, name, wrapped)
    twos = stored_arrays.write_array(np.full(3, 2))
    values = {"a.npy": twos, "b.npy": twos}
    store = stored_arrays.ArrayStore(Path(sys.argv[1]), {"matrix": "00ff"})
    store.save("pair", {"value": 2}, values)
"""


def test_a_kill_at_any_instant_leaves_the_old_the_new_or_nothing(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    seen = set()
    for instant in [*range(0, 33, 3), 1000]:
        folder = tmp_path / str(instant)
        kept = ArrayStore(folder, {"matrix": "00ff"})
        both = {name: write_array(np.full(3, 1)) for name in ("a.npy", "b.npy")}
        kept.save("pair", {"value": 1}, both)
        done = subprocess.run([sys.executable, script, folder, str(instant)], check=False)
        part = kept.load("pair")
        if part is None:
            seen.add("nothing")
        else:
            value = part.parameters["value"]
            assert part.array("a").tolist() == part.array("b").tolist() == [value] * 3
            seen.add(value)
        assert (done.returncode == 0) == (instant == 1000)
        kept.save("pair", {"value": 3}, both)
        assert kept.load("pair").parameters == {"value": 3}
    assert seen == {1, 2, "nothing"}


def test_the_content_of_meta(tmp_path):
    keep(tmp_path, [1])
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert {key: meta[key] for key in ("format", "matrix", "kind")} == {"format": 2, **IDENTITY}
    assert list(meta["parts"]["squares"]["files"]) == ["values.npy"]


ALONE = """
    import sys, time
    from pathlib import Path
    from embedpipe.index.stored_arrays import ArrayStore

    kept = ArrayStore(Path(sys.argv[1]), {"matrix": "00ff"})
    with kept.alone("squares"):
        (Path(sys.argv[1]) / "inside").write_text("")
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nobody waits there")
def test_the_lock_excludes_others_and_a_kill_releases_it(tmp_path):
    script, folder = tmp_path / "alone.py", tmp_path / "kept"
    script.write_text(textwrap.dedent(ALONE))
    first = subprocess.Popen([sys.executable, script, folder])
    while not (folder / "inside").exists():
        time.sleep(0.01)
    kept, inside = ArrayStore(folder, IDENTITY), threading.Event()

    def enter():
        with kept.alone("squares"):
            inside.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    with kept.alone("others"):  # another name has another lock
        assert not inside.wait(0.2)
    first.kill()
    first.wait()
    assert inside.wait(30)
    waiting.join()
    assert kept.load("squares") is None


def test_without_write_access_there_is_no_lock(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with ArrayStore(tmp_path / "file", IDENTITY).alone("squares"):
        pass


def test_only_the_newest_of_a_kind_are_left(tmp_path):
    kept = keep(tmp_path, [9], name="other")
    for number in [1, 2, 3, 1, 4]:
        files = {"values.npy": write_array(np.array([number]))}
        kept.save(f"squares-{number}", {}, files, at_most=("squares-", 2))
    assert [kept.load(f"squares-{number}") is None for number in (1, 2, 3, 4)] == [
        False,
        True,
        True,
        False,
    ]
    assert read(tmp_path, name="other") == ({"n": 1}, [9])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "meta.json",
        "other-values.npy",
        "squares-1-values.npy",
        "squares-4-values.npy",
    ]


def test_concurrent_saves_are_all_stored(tmp_path):
    def save(number):
        keep(tmp_path, [number], name=f"part{number}")

    threads = [threading.Thread(target=save, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read(tmp_path, name=f"part{n}") for n in range(12)] == [
        ({"n": 1}, [n]) for n in range(12)
    ]
