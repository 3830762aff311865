"""The store against a dictionary: random kills, duplicates, edits, renames, concurrent writers.

Each case is a random history of a folder of real JPEGs and of processes that embed it. Some are
killed at a random moment or run beside another. In the end, a complete run must give the vectors of
a dictionary from bytes to vectors, to the last bit.

It is a program, run by ``test_store_model.py`` with the number of histories, because a process with
torch should not fork often.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from embedpipe.backbones import DecodeError, ToyBackbone, decode
from embedpipe.cache import Spec, Store, verify
from embedpipe.datasets import load_dataset
from embedpipe.embedding import embed, filling
from embedpipe.embedding.embeddings import Embeddings
from embedpipe.embedding.filling import canary_images
from embedpipe.errors import DatasetError

from embedpipe._workspace import Workspace  # isort: skip

TOY = ToyBackbone()

CANARY = canary_images()
filling.canary_images = lambda: CANARY  # made once: every case runs many processes


def jpeg(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize((24, 20)).save(buffer, "JPEG")
    return buffer.getvalue()


def vector(content: bytes) -> np.ndarray | None:
    """Return the expected vector of an image, computed without the store."""
    try:
        pixels, _, _ = decode(content, TOY.preprocess)
    except DecodeError:
        return None
    return TOY.open(precision="fp32", runtime="auto", batch_size=1).encode(pixels[None])[0]


def embed_folder(folder: Path, workspace: Path) -> Embeddings:
    return embed(load_dataset(str(folder)), workspace=workspace, backbone="toy", precision="fp32")


def in_child(work: Callable[[], object]) -> int:
    """Start a process with small fragments and batches, for many steps at which to kill it."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        filling.FRAGMENT_ROWS, filling.BATCH_SIZE = 3, 2
        work()
        status = 0
    except DatasetError:
        status = 0  # every image is broken: the folder cannot be embedded, and that is reported
    finally:
        os._exit(status)


def killed_after(events: int, work: Callable[[], object]) -> Callable[[], object]:
    """Kill this process just before its n-th step of writing a file."""

    def countdown_to(function: Callable[..., object]) -> Callable[..., object]:
        def stepped(*args: object, **options: object) -> object:
            nonlocal events
            events -= 1
            if events < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return stepped

    def armed() -> None:
        for owner, name in (
            (os, "fsync"), (os, "link"), (Path, "replace"), (Path, "rename"), (Path, "unlink"),
            (Path, "open"), (Path, "mkdir"),
        ):  # fmt: skip
            setattr(owner, name, countdown_to(getattr(owner, name)))
        work()

    return armed


class History:
    """A folder, its workspaces, and the dictionary of expected vectors."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.workspace = root, root / "photos", root / "workspace"
        (self.folder / "a").mkdir(parents=True)
        (self.folder / "b").mkdir()
        (self.folder / "a" / "first.jpg").write_bytes(jpeg(0))
        (self.folder / "b" / "second.jpg").write_bytes(jpeg(1))
        self.completed: set[bytes] = set()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def pick(self, number: int) -> Path:
        files = self.files()
        return files[number % len(files)]

    def add(self, number: int) -> None:
        name = f"img_{number:03d}.jpg"
        (self.folder / "ab"[number % 2] / name).write_bytes(jpeg(number))

    def edit(self, number: int) -> None:
        path = self.pick(number)
        before = path.stat()
        path.write_bytes(jpeg(1000 + number))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a careless tool would

    def duplicate(self, number: int) -> None:
        copy = self.folder / "a" / f"copy_{number}.jpg"
        if not copy.exists():
            shutil.copy2(self.pick(number), copy)

    def rename(self, number: int) -> None:
        self.pick(number).rename(self.folder / "b" / f"renamed_{number}.jpg")

    def swap(self, number: int) -> None:
        one, two = self.pick(number), self.pick(number + 1)
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)

    def cut(self, number: int) -> None:
        path = self.pick(number)
        path.write_bytes(path.read_bytes()[: 100 + number])

    def delete(self, number: int) -> None:
        if len(self.files()) > 2:
            self.pick(number).unlink()

    def embed(self, number: int) -> None:
        child = in_child(lambda: embed_folder(self.folder, self.workspace))
        assert os.waitpid(child, 0)[1] == 0
        self.completed |= self.good()

    def kill_at_step(self, number: int) -> None:
        work = killed_after(number, lambda: embed_folder(self.folder, self.workspace))
        status = os.waitpid(in_child(work), 0)[1]
        assert status in (0, signal.SIGKILL)

    def kill_at_time(self, number: int) -> None:
        child = in_child(lambda: embed_folder(self.folder, self.workspace))
        time.sleep(number / 4000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def embed_twice_at_once(self, number: int) -> None:
        work = lambda: embed_folder(self.folder, self.workspace)  # noqa: E731
        children = [in_child(work), in_child(work)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        self.completed |= self.good()

    def embed_beside_a_killed_one(self, number: int) -> None:
        work = lambda: embed_folder(self.folder, self.workspace)  # noqa: E731
        doomed, other = in_child(killed_after(number, work)), in_child(work)
        assert os.waitpid(doomed, 0)[1] in (0, signal.SIGKILL)
        assert os.waitpid(other, 0)[1] == 0
        self.completed |= self.good()

    def good(self) -> set[bytes]:
        contents = [path.read_bytes() for path in self.files()]
        return {hashlib.sha256(c).digest() for c in contents if vector(c) is not None}

    def check(self) -> None:
        """Compare the store and the matrix of an undisturbed run with the dictionary."""
        model = {
            path.relative_to(self.folder).as_posix(): path.read_bytes() for path in self.files()
        }
        vectors = {name: vector(content) for name, content in model.items()}
        expected = {name: v for name, v in vectors.items() if v is not None}
        if not expected:
            with pytest.raises(DatasetError, match="could be embedded"):
                embed_folder(self.folder, self.workspace)
            return
        found = embed_folder(self.folder, self.workspace)
        assert [item.id for item in found.items] == sorted(expected)
        assert np.array_equal(found.matrix, np.stack([expected[i.id] for i in found.items]))
        assert {failure.path for failure in found.failures} == set(model) - set(expected)
        assert all(failure.stage == "decode" for failure in found.failures)
        again = embed_folder(self.folder, self.workspace)
        assert again.report.embedded == 0
        assert np.array_equal(again.matrix, found.matrix)
        self.check_store(found.spec)

    def check_store(self, spec: Spec) -> None:
        stored: dict[bytes, np.ndarray] = {}
        for ids, rows in Store(Workspace(self.workspace), spec).vectors():
            for content_id, row in zip(ids.to_pylist(), rows, strict=True):
                assert np.array_equal(stored.setdefault(content_id, row), row)
        assert self.completed <= set(stored)  # nothing is lost
        for path in self.files():  # nothing is wrong
            content = path.read_bytes()
            row = stored.get(hashlib.sha256(content).digest())
            assert (row is None) == (vector(content) is None)
        assert verify(Workspace(self.workspace)) == []


EVENTS = (
    "add", "add", "add", "edit", "duplicate", "rename", "swap", "cut", "delete", "embed",
    "kill_at_step", "kill_at_step", "kill_at_step", "kill_at_time", "embed_twice_at_once",
    "embed_beside_a_killed_one",
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.integers(min_value=0, max_value=60)),
        min_size=3,
        max_size=9,
    )
)
def any_history_ends_as_the_dictionary_says(events: list[tuple[str, int]]) -> None:
    root = Path(tempfile.mkdtemp(prefix="embedpipe-test-"))
    try:
        history = History(root)
        for event, number in events:
            getattr(history, event)(number)
        history.check()
    finally:
        shutil.rmtree(root)
        sys.stdout.flush()


if __name__ == "__main__":
    limited = settings(
        max_examples=int(sys.argv[1]),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    limited(any_history_ends_as_the_dictionary_says)()
