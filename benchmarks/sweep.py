"""Run a grid on CIFAR-10, kill and continue it, and compare it with scikit-activeml.

    python benchmarks/sweep.py                       # needs the CIFAR-10 images
    python benchmarks/sweep.py --items 5000 --rounds 4 --seeds 2   # small: takes minutes
    python benchmarks/sweep.py --only sweep same     # without scikit-activeml

The protocol is from "Revisiting active learning in the era of vision foundation models"
(arXiv:2401.14555): 12 strategies with 5 seeds. TypiClust chooses the first 10 labels of a run, and
20 rounds of 10 labels follow. Each round is tested on the 10,000 test images. The parts are:

- `sweep`: the grid by `Experiment`. After half of the runs, the process is killed by SIGKILL and
  started again. This part prints the wall time and the processor time. It fails if a finished run
  changed.
- `same`: a part of the grid with 1 and with 2 workers. It fails if the tables differ.
- `peer`: the mean time of a round of embedpipe, and of a loop with scikit-learn's logistic
  regression and scikit-activeml's strategies (`pip install '.[bench]'`). Both loops start from
  random labels. The ratio of the two times is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from common import find_archive, without_slowing_settings
from peers import HAVE_SKACTIVEML

import embedpipe as ep
from embedpipe.active import ActiveLoop, Problem
from embedpipe.experiments import Experiment

STRATEGIES = (
    "random",
    "least_confidence",
    "entropy",
    "margin",
    "coreset",
    "badge",
    "bald",
    "power_bald",
    "alfamix",
    "typiclust",
    "probcover",
    "dropquery",
)
PEERS = ("margin", "badge", "typiclust")
"""Strategies that scikit-activeml has under the same name."""

PARTS = ("sweep", "same", "peer")


def main() -> int:
    arguments = parse()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if arguments.child:
        return run_child(arguments)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    problem = prepare(arguments)
    n, d = problem.matrix.shape
    print(
        f"{problem.name}: {len(problem.candidates):,} candidates of {n:,} vectors, "
        f"{d:,} dimensions, {os.cpu_count()} CPUs"
    )
    failed = False
    if "sweep" in arguments.only:
        failed |= bench_sweep(arguments)
    if "same" in arguments.only:
        failed |= bench_same(arguments, problem)
    if "peer" in arguments.only and HAVE_SKACTIVEML:
        bench_peer(arguments, problem)
    return int(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, help="the CIFAR-10 images")
    parser.add_argument("--cache", type=Path, help="workspace with the embeddings")
    parser.add_argument("--folder", type=Path, help="folder of the runs")
    parser.add_argument("--items", type=int, help="number of training images in the pool")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--no-kill", action="store_true", help="do not kill the process")
    parser.add_argument("--peer-rounds", type=int, default=3, help="rounds of the part `peer`")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder is None:
        arguments.folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    return arguments


def prepare(arguments: argparse.Namespace) -> Problem:
    """Return the problem of the sweep, and store it for the later processes."""
    saved = arguments.folder / "problem"
    if not (saved / "problem.json").exists():
        source = arguments.source or find_archive()
        dataset = ep.load_dataset("cifar10", source=source)
        problem = Problem.of(ep.embed(dataset, workspace=arguments.cache), seed=0)
        if arguments.items:
            rows = np.random.default_rng(0).permutation(problem.candidates)[: arguments.items]
            problem = problem._with_candidates(np.sort(rows), f"{arguments.items}")
        index = arguments.folder / "index"  # without the arrays of an earlier sweep
        problem.index.folder = index
        problem.save(saved)
    return Problem.load(saved)


def grid(arguments: argparse.Namespace, **changes: object) -> Experiment:
    options: dict[str, object] = {
        "strategies": arguments.strategies,
        "initials": ["typiclust"],
        "seeds": arguments.seeds,
        "pool_share": 1,
        "initial_size": arguments.batch_size,
        "batch_size": arguments.batch_size,
        "rounds": arguments.rounds,
        "workspace": arguments.folder,
        "name": "sweep",
    }
    problem = Problem.load(arguments.folder / "problem")
    return Experiment(problem, **{**options, **changes})  # type: ignore[arg-type]


# The sweep


def bench_sweep(arguments: argparse.Namespace) -> bool:
    """Run the grid, and kill it once half-way; return whether a finished run changed."""
    cells = [arguments.folder / "runs" / cell.run_id for cell in grid(arguments).cells()]
    half = len(cells) if arguments.no_kill else len(cells) // 2
    first = SweepProcess(arguments)
    while first.is_running() and finished(cells, arguments) < half:
        time.sleep(0.5)
    first.end()
    before = {path: digest(path) for path in cells if is_finished(path, arguments.rounds)}
    print(
        f"\nsweep: ended after {first.seconds:.0f} s with {len(before)} of {len(cells)} runs done"
    )
    second = SweepProcess(arguments)
    while second.is_running():
        time.sleep(0.5)
    changed = [path.name for path, was in before.items() if digest(path) != was]
    rounds = len(cells) * (arguments.rounds + 1)
    print(
        f"sweep: {len(cells)} runs, {rounds:,} rounds: {first.seconds + second.seconds:.0f} s with "
        f"{arguments.workers} workers, {first.used + second.used:.0f} s processor time; "
        + (f"CHANGED: {', '.join(changed)}" if changed else "no finished run changed")
    )
    table(arguments)
    return second.process.returncode != 0 or bool(changed)


class SweepProcess:
    """The sweep in its own process with workers, and the time of these processes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--child", *sys.argv[1:]]
        command += ["--folder", str(arguments.folder)]
        self._started, self.seconds, self.used = time.perf_counter(), 0.0, 0.0
        self.process = subprocess.Popen(command, start_new_session=True)

    def is_running(self) -> bool:
        """Return whether the process runs, and update the times."""
        self.seconds = time.perf_counter() - self._started
        self.used = max(self.used, processor_time(self.process.pid))
        return self.process.poll() is None

    def end(self) -> None:
        """Kill the process, and check that its workers ended too."""
        self.is_running()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        time.sleep(1)
        assert not processor_time(self.process.pid), (
            "a worker still runs after the end of its process"
        )


def processor_time(session: int) -> float:
    """Return the processor time, in seconds, of the running processes of a session, on Linux."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def finished(cells: list[Path], arguments: argparse.Namespace) -> int:
    return sum(is_finished(path, arguments.rounds) for path in cells)


def run_child(arguments: argparse.Namespace) -> int:
    last = time.monotonic()

    def show(progress: object) -> None:
        nonlocal last
        if time.monotonic() - last > 20:
            last = time.monotonic()
            print(f"  {progress}", flush=True)

    results = grid(arguments).run(workers=arguments.workers, progress=show)
    for failure in results.failures:
        print(f"  FAILED {failure}")
    print(results.summary())
    return int(bool(results.failures))


def is_finished(run: Path, rounds: int) -> bool:
    from embedpipe.experiments.run_files import stored_of

    stored = stored_of(run)
    return stored.rounds > rounds or stored.ended


def digest(run: Path) -> str:
    """Return a digest of all files of a run and their modification times."""
    found = hashlib.sha256()
    for path in sorted(run.iterdir()):
        found.update(f"{path.name} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
    return found.hexdigest()


def table(arguments: argparse.Namespace) -> None:
    """Print the mean time of a round of each strategy."""
    timings = grid(arguments).results().timings.to_pylist()
    print(f"  {'strategy':<20}{'select s':>10}{'fit s':>10}")
    for name in dict.fromkeys(row["strategy"] for row in timings):
        rows = [row for row in timings if row["strategy"] == name and row["round"]]
        select, fit = (
            np.mean([row[key] for row in rows]) for key in ("select_seconds", "fit_seconds")
        )
        print(f"  {name:<20}{select:>10.2f}{fit:>10.3f}")


# The same tables with one worker and with two


def bench_same(arguments: argparse.Namespace, problem: Problem) -> bool:
    tables = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            part = {"strategies": ["margin", "badge"], "seeds": 2, "rounds": 3}
            experiment = grid(arguments, **part, workspace=folder, upper_baseline=False)
            experiment.run(workers=workers)
            tables.append((experiment.folder / "results.parquet").read_bytes())
    same = tables[0] == tables[1]
    print(f"\nsame: tables of 1 and 2 workers {'are the same' if same else 'DIFFER'}")
    return not same


# The peer


def bench_peer(arguments: argparse.Namespace, problem: Problem) -> None:
    """Print our mean time of a round and the peer's, both measured in this process."""
    print("\npeer: scikit-learn's logistic regression and scikit-activeml, mean of a round")
    for name in PEERS:
        ours = float(np.mean(our_rounds(problem, name, arguments)))
        theirs = float(np.mean(plain_rounds(problem, name, arguments)))
        print(f"  {name:<12}{ours:8.2f} s   {theirs:8.2f} s   {theirs / ours:6.1f} x")


def our_rounds(problem: Problem, name: str, arguments: argparse.Namespace) -> list[float]:
    """Return the seconds of each round, from the selection to the test, without the first round."""
    size = arguments.batch_size
    loop = ActiveLoop(problem, strategy=name, initial="random", initial_size=size, batch_size=size)
    seconds, started = [], time.perf_counter()
    for record in loop.run(rounds=arguments.peer_rounds):
        if record.round:
            seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    return seconds


def plain_rounds(problem: Problem, name: str, arguments: argparse.Namespace) -> list[float]:
    """Return the seconds of each round of a loop with scikit-activeml."""
    from skactiveml import pool
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.utils import MISSING_LABEL
    from sklearn.linear_model import LogisticRegression

    X = np.asarray(problem.matrix[problem.candidates])
    truth = problem.oracle.codes[problem.candidates].astype(float)
    X_test = np.asarray(problem.matrix[problem.test_rows])
    rng = np.random.default_rng(0)
    y = np.full(len(X), MISSING_LABEL)
    first = rng.permutation(len(X))[: arguments.batch_size]
    y[first] = truth[first]
    classes = np.unique(truth)
    query = {
        "margin": lambda: pool.UncertaintySampling(method="margin_sampling", random_state=0),
        "badge": lambda: pool.Badge(random_state=0),
        "typiclust": lambda: pool.TypiClust(random_state=0),
    }[name]()
    seconds = []
    for _ in range(arguments.peer_rounds):
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = SklearnClassifier(LogisticRegression(C=10, max_iter=1000), classes=classes)
            head.fit(X, y)
            more = {} if name == "typiclust" else {"clf": head, "fit_clf": False}
            rows = query.query(X, y, batch_size=arguments.batch_size, **more)
            y[rows] = truth[rows]
            head.predict(X_test)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
