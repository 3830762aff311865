"""Seconds and memory of commands on imported vectors: import, select, compare, label.

Each command is a new process, so that its seconds include the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import clusters, without_slowing_settings

COMMAND = [sys.executable, "-m", "embedpipe"]
BLOCK = 10_000
LABELS = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("folder", type=Path, help="folder for the images; kept for the next run")
    parser.add_argument("--make-only", action="store_true", help="make the images and vectors")
    arguments = parser.parse_args()
    without_slowing_settings()
    if not (arguments.folder / "vectors.parquet").exists():
        make(arguments.folder, arguments.items, arguments.dim)
    if not arguments.make_only:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            os.environ["EMBEDPIPE_WORKSPACE"] = str(Path(name) / "workspace")
            os.environ["XDG_DATA_HOME"] = str(Path(name) / "data")
            measure(arguments.folder, Path(name))
    return 0


def make(folder: Path, n: int, dim: int) -> None:
    """Write n small images, a tenth of them in the test split, and a file of their vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix, classes = clusters(folder / "clusters.npy", n, dim)
    pixels = np.random.default_rng(0).integers(0, 256, (n, 64), dtype=np.uint8)
    schema = pa.schema([("path", pa.string()), ("embedding", pa.list_(pa.float32(), dim))])
    unfinished = folder / "unfinished.parquet"
    with pq.ParquetWriter(unfinished, schema, use_dictionary=False) as writer:
        for start in range(0, n, BLOCK):
            paths = []
            for row in range(start, min(start + BLOCK, n)):
                split = "train" if row % 10 else "test"
                paths.append(f"{split}/class{classes[row]}/{row:06d}.pgm")
                file = folder / "photos" / paths[-1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"P5\n8 8\n255\n" + pixels[row].tobytes())
            flat = pa.array(np.ascontiguousarray(matrix[start : start + BLOCK]).reshape(-1))
            columns = [pa.array(paths), pa.FixedSizeListArray.from_arrays(flat, dim)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    unfinished.replace(folder / "vectors.parquet")


def measure(folder: Path, place: Path) -> None:
    """Run and time the commands; `place` is a folder for the workspace."""
    photos, file = folder / "photos", folder / "vectors.parquet"
    run("import-vectors", photos, file, "--name", "bench")
    run("import-vectors", photos, file, "--name", "bench")
    run("embed", photos, "--vectors", file)
    run("embed", photos, "--backbone", "imported:bench", "--output", place / "again.parquet")
    written = pq.read_table(place / "again.parquet").sort_by("path")
    given = pq.read_table(file).sort_by("path")
    print(f"round trip through Parquet is exact: {written.equals(given, check_metadata=False)}")
    use, labels = ("--backbone", "imported:bench"), place / "labels.csv"
    training = [each for each in given["path"].to_pylist() if each.startswith("train")]
    lines = [f"{each},{each.split('/')[1]}" for each in training[:: len(training) // LABELS]]
    labels.write_text("\n".join(["path,label", *lines]))
    run("select", photos, "-n", 100, "--strategy", "coreset", *use)
    run("select", photos, "-n", 100, "--strategy", "margin", "--labels", labels, *use)
    label(photos, *use)
    run("compare", photos, "--strategies", "coreset,random", "--seeds", 3, "--rounds", 5, *use)
    size = sum(path.stat().st_size for path in (place / "workspace" / "cache").rglob("*.parquet"))
    print(f"cache: {size / given.num_rows:.0f} bytes for each image")


def run(*arguments: object) -> None:
    """Run a command, and print its seconds and its peak memory."""
    words = [str(each) for each in arguments]
    started = time.perf_counter()
    child = subprocess.Popen([*COMMAND, *words, "--json", "--quiet"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    shown = [each for each in words if not each.startswith("/")]
    peak = usage.ru_maxrss / 1024
    print(f"{' '.join(shown)}: {seconds:.1f} s, {peak:,.0f} MB, status {status}", flush=True)
    if status:
        print(json.loads(output)["error"])


def label(*arguments: object) -> None:
    """Start the labelling page, and print the seconds until it answers."""
    started = time.perf_counter()
    words = ["label", *map(str, arguments), "--no-open", "--json", "--quiet"]
    child = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    url = json.loads(child.stdout.readline())["url"]
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
    print(f"label: the page answers after {time.perf_counter() - started:.1f} s")
    child.send_signal(signal.SIGINT)
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
