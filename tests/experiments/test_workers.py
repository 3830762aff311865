"""Workers: a failure costs one task, and workers end with their parent process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from embedpipe.errors import RunError
from embedpipe.experiments import workers
from embedpipe.experiments.workers import THREADS, Done, Failed, ProgressUpdate, run_tasks
from tests.processes import run, wait_for_end

WORK = """
    import os
    import time
    from pathlib import Path

    from embedpipe.errors import RunError

    def work(shared, task):
        what, value = task
        if what == "threads":
            import numpy.linalg
            from embedpipe._threads import blas_threads
            return blas_threads(), os.environ["OMP_NUM_THREADS"]
        if what == "raise":
            raise RunError("oh no")
        if what == "break":
            raise ValueError(value)
        if what == "die":
            os._exit(value)
        if what == "kill":
            os.kill(os.getpid(), value)
        if what == "sleep":
            Path(value).write_text(str(os.getpid()))
            time.sleep(600)
        yield "on it"
        return shared, value

    def end(*args):
        os._exit(4)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that worker processes can import."""
    (tmp_path / "tasks_for_tests.py").write_text(textwrap.dedent(WORK))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tasks_for_tests", raising=False)
    import tasks_for_tests

    return tasks_for_tests.work


def test_this_process_and_workers_give_the_same_events(work) -> None:
    tasks = [("do", 1), ("raise", 2), ("break", 3), ("do", 4)]
    expected = [
        ProgressUpdate(("do", 1), "on it"),
        Done(("do", 1), ("all", 1)),
        ("raise", "oh no"),
        ("break", "ValueError: 3"),
        ProgressUpdate(("do", 4), "on it"),
        Done(("do", 4), ("all", 4)),
    ]
    for count in (0, 1):
        events = list(run_tasks(tasks, work, count, "all"))
        plain = [(e.task[0], e.error) if isinstance(e, Failed) else e for e in events]
        assert plain == expected
        traces = [event.trace for event in events if isinstance(event, Failed)]
        assert all("in work" in trace for trace in traces)


def test_a_killed_worker_fails_one_task(work) -> None:
    before = {name: os.environ.get(name) for name in THREADS}
    tasks = [("kill", int(signal.SIGKILL)), ("die", 3), ("threads", 0), ("do", 1)]
    events = {event.task: event for event in run_tasks(tasks, work, 2)}
    ended = "its worker process ended ({}). If memory ran out, use fewer workers."
    assert events[tasks[0]] == Failed(tasks[0], ended.format("killed by SIGKILL"))
    assert events[tasks[1]] == Failed(tasks[1], ended.format("exit status 3"))
    assert events[tasks[2]] == Done(tasks[2], (1, "1"))
    assert events[tasks[3]] == Done(tasks[3], (None, 1))
    assert {name: os.environ.get(name) for name in THREADS} == before


def test_a_task_that_cannot_be_sent_fails(work, tmp_path: Path) -> None:
    for task in (("do", threading.Lock()), ("do", Unreadable())):
        (event,) = run_tasks([task], work, 1)
        assert isinstance(event, Failed)
        assert event.error.startswith("it cannot be sent to a worker process (TypeError: ")
        assert event.error.endswith("): use workers=0.")


class Unreadable:
    def __reduce__(self) -> tuple[object, ...]:
        return int, ("one", "two", "three")


def test_a_worker_that_cannot_start_is_an_error(work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_start_worker", sys.modules["tasks_for_tests"].end)
    with pytest.raises(RunError) as caught:
        list(run_tasks([("do", 1)], work, 1))
    assert str(caught.value) == "a worker process ended while it was starting (exit status 4)."


def test_workers_know_the_strategies_and_heads_that_a_script_registers(tmp_path: Path) -> None:
    script = tmp_path / "registering.py"
    script.write_text(
        textwrap.dedent("""
        import threading
        import numpy as np
        import embedpipe as ep
        from embedpipe.active import Problem

        @ep.strategies.register("last")
        class Last(ep.Strategy):
            name = "last"
            def choose(self, pool, n, rng):
                return ep.Selection(pool.unlabelled[::-1][:n], np.arange(n, 0, -1, dtype="f4"))

        @ep.heads.heads.register("plain")
        class Plain(ep.heads.NearestMeanHead):
            pass

        class Unsent(Last):  # a worker process cannot receive it
            lock = threading.Lock()

        ep.strategies.register("unsent")(Unsent)

        X = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
        y = np.arange(60) % 3
        problem = Problem.from_arrays(X, y, candidates=range(40), test=range(40, 60))
        for workers in (2, 0):
            results = ep.Experiment(
                {"numbers": problem}, strategies=["last"], heads=["plain"], seeds=2,
                initial_size=6, batch_size=6, rounds=1, workspace=f"w{workers}",
            ).run(workers=workers)
            assert not results.failures, results.failures
            print(sorted(set(results.table["run_id"].to_pylist())))
        """)
    )
    done = run([sys.executable, script], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    parallel, serial = done.stdout.splitlines()
    assert parallel == serial
    assert "last" in parallel


def test_a_script_can_define_tasks_without_a_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from embedpipe.experiments.workers import run_tasks\n"
        "def work(shared, task):\n    yield task.value\n    return shared\n"
        "class Task:\n    value = 3\n"
        "print([getattr(event, 'message', 0) or event.result"
        " for event in run_tasks([Task()], work, 1, 'all')])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[3, 'all']\n", "")


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT", "close"])
def test_workers_end_with_their_parent_process(work, tmp_path: Path, how: str) -> None:
    note = tmp_path / "pid"
    program = f"""
        import signal
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from embedpipe.experiments.workers import run_tasks
        from tasks_for_tests import work

        if __name__ == "__main__":
            # Processes in the background ignore SIGINT by default.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            events = run_tasks([("do", 1), ("sleep", {str(note)!r})], work, 2)
            next(events)
            if {how == "close"}:
                while not __import__("os").path.exists({str(note)!r}):
                    pass
                events.close()
            else:
                list(events)
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(program))
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(note.read_text())
    if how != "close":
        process.send_signal(getattr(signal, how))
    process.wait(90)
    wait_for_end([worker])
