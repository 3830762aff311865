"""Several processes write the label log at once, are killed or stopped."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from embedpipe.errors import LabelError
from embedpipe.labels import Event, LabelLog

WRITER = """
import sys
from embedpipe.labels import Event, LabelLog

path, name, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
with LabelLog(path) as log:
    for number in range(count):
        ids = log.append([
            Event("label", "shop", f"{name}/{number}/{part}", bytes(32), f"class{number % 7}", name)
            for part in range(size)
        ])
        sys.stdout.write(f"{number} {ids[0]}\\n")
        sys.stdout.flush()
"""


class Writer:
    """A process that appends events and writes the acknowledged ones to a file."""

    def __init__(self, path, name, count=10**6, size=1):
        self.output = path.with_name(f"{path.stem}-{name}.txt")
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), name, str(count), str(size)],
                stdin=subprocess.PIPE,
                stdout=file,
                text=True,
            )

    def go(self):
        """Let it open the log after its imports."""
        self.wait_for_lines(1)
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait_for_lines(self, count):
        deadline = time.monotonic() + 120
        while self.output.read_bytes().count(b"\n") < count:
            assert self.process.poll() is None, "the writer has ended"
            assert time.monotonic() < deadline, "the writer is silent"
            time.sleep(0.002)

    def kill(self):
        """Kill it without any cleanup, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.stdin.close()
        assert self.process.wait() == -signal.SIGKILL

    def finish(self):
        self.process.stdin.close()
        assert self.process.wait() == 0

    def acknowledged(self):
        """Return the id of the first event of each call that has returned."""
        lines = self.output.read_text().split("\n")[1:-1]  # after "ready"; the last may be torn
        return {int(number): int(first) for number, first in (line.split() for line in lines)}


def check_whole(path):
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "labels.sqlite"  # it does not exist for either of them
    writers = [Writer(path, name, count=150, size=2) for name in ("ann", "bob")]
    for writer in writers:
        writer.go()
    for writer in writers:
        writer.finish()
    confirmed = [writer.acknowledged() for writer in writers]
    assert [sorted(each) for each in confirmed] == [list(range(150))] * 2
    check_whole(path)
    with LabelLog(path) as log:
        events = list(log.events())
        assert [event.id for event in events] == list(range(1, 601))
        place = {event.path: event.id for event in events}
        for name, each in zip(("ann", "bob"), confirmed, strict=True):
            for number, first in each.items():  # the events of a call are adjacent
                assert place[f"{name}/{number}/0"] == first
                assert place[f"{name}/{number}/1"] == first + 1
        assert len(log.current("shop")) == 600


def test_many_processes_create_the_log_at_once(tmp_path):
    for attempt in range(4):
        path = tmp_path / f"{attempt}.sqlite"
        writers = [Writer(path, str(number), count=3) for number in range(4)]
        for writer in writers:
            writer.go()
        for writer in writers:
            writer.finish()
        assert [len(writer.acknowledged()) for writer in writers] == [3, 3, 3, 3]
        check_whole(path)


@pytest.mark.parametrize("least", [12, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_lose_no_acknowledged_event(tmp_path, least):
    path = tmp_path / "labels.sqlite"
    chance = random.Random()  # not seeded: other instants in every run
    expected: dict[str, int] = {}
    kills = unconfirmed = 0
    following = Writer(path, "writer0")
    while kills < least or len(expected) <= 20 * least:
        assert kills < 8 * least, "the writers are too slow to be tested like this"
        name, size, writer = f"writer{kills}", 1 + kills % 2, following
        following = Writer(path, f"writer{kills + 1}", size=1 + (kills + 1) % 2)
        writer.go()
        if kills % 5:  # every fifth is killed while it opens the log, the others while they write
            writer.wait_for_lines(2 + chance.randrange(40))
        time.sleep(chance.uniform(0, 0.03))
        writer.kill()
        kills += 1

        confirmed = writer.acknowledged()
        for number, first in confirmed.items():
            expected |= {f"{name}/{number}/{part}": first + part for part in range(size)}
        with LabelLog(path) as log:
            events = list(log.events())
        assert max(Counter(event.path for event in events).values(), default=1) == 1
        place = {event.path: event.id for event in events}
        assert {item: place.get(item) for item in expected} == expected
        # The events of the interrupted call may be there too: all or none.
        more = sum(event.who == name for event in events) - size * len(confirmed)
        assert more in (0, size)
        unconfirmed += more > 0
        check_whole(path)
    following.kill()
    print(
        {
            "kills": kills,
            "acknowledged": len(expected),
            "committed but not acknowledged": unconfirmed,
        }
    )
    with LabelLog(path) as log:
        assert set(expected) <= set(log.current("shop"))


def copy_with_wal(path, folder):
    folder.mkdir()
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / path.name


def test_a_copy_of_any_moment_opens(tmp_path):
    """A stopped process is like a snapshot of the file system."""
    path = tmp_path / "labels.sqlite"
    LabelLog(path).close()
    writer = Writer(path, "ann", size=5)
    writer.go()
    counts, lengths = [], []
    chance = random.Random()
    try:
        for moment in range(25):
            time.sleep(chance.uniform(0.005, 0.03))
            os.kill(writer.process.pid, signal.SIGSTOP)
            try:
                acknowledged = len(writer.acknowledged())
                copy = copy_with_wal(path, tmp_path / str(moment))
            finally:
                os.kill(writer.process.pid, signal.SIGCONT)
            wal = copy.with_name(copy.name + "-wal")
            lengths.append(wal.stat().st_size if wal.exists() else 0)
            with LabelLog(copy) as log:
                found = [event.path for event in log.events()]
            assert found == [f"ann/{n}/{part}" for n in range(len(found) // 5) for part in range(5)]
            assert len(found) // 5 - acknowledged in (0, 1)
            counts.append(len(found))
            check_whole(copy)
    finally:
        writer.kill()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert max(lengths) > 0  # the copy includes events that are only in the -wal file


def test_a_backup_can_be_made_while_others_write(tmp_path):
    path = tmp_path / "labels.sqlite"
    writer = Writer(path, "ann", size=3)
    writer.go()
    writer.wait_for_lines(2)
    try:
        with LabelLog(path) as log:
            for moment in range(10):
                copy = log.backup(tmp_path / f"copy{moment}.sqlite")
                with LabelLog(copy) as other:
                    found = [event.path for event in other.events()]
                assert found == [f"ann/{n}/{p}" for n in range(len(found) // 3) for p in range(3)]
                check_whole(copy)
    finally:
        writer.kill()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_must_open_the_log_again(tmp_path):
    with LabelLog(tmp_path / "labels.sqlite") as log:
        child = os.fork()
        if not child:
            try:
                log.append([Event("skip", "shop", "a")])
            except LabelError as error:
                os._exit("Open it again" in str(error))
            os._exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        assert log.append([Event("skip", "shop", "b")]) == [1]
