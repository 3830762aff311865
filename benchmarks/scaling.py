"""How long a cluster embeds many images, by simulation, and what a large store costs to read.

    python benchmarks/scaling.py                       # both, with 10 million synthetic rows
    python benchmarks/scaling.py model --images 1e9    # only the model of the cluster
    python benchmarks/scaling.py model --profile profile.json   # times measured by embed --profile
    python benchmarks/scaling.py store --rows 1e8      # a store of 100 million rows (6 GB on disk)

The model is a discrete-event simulation of a cluster that embeds from an object store to an object
store. A machine takes a shard of images, reads them, decodes and encodes them on its cores, and
writes one fragment. Reading and computing overlap; the slower of the two determines the time of a
shard. All machines share the store's limit of requests. The driver lists the images, one request
for 1,000 names, and handles one receipt for each shard. Machines are lost at random and replaced.
The shard of a lost machine is done again by another machine. Each default of `Cluster` is measured
on the machine of docs/scaling.md or is an assumption that its docstring marks.

The store is real: fragments of 4,096 random content ids with vectors of one dimension. Opening
reads and checks the content ids of all fragments. `missing` searches a million ids in them.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import without_slowing_settings

from embedpipe._workspace import Workspace
from embedpipe.cache import CONTENT_ID, Spec, Store
from embedpipe.cache.fragments import write_fragment

SHARD = 4096
"""Images of a shard, and rows of a fragment."""


@dataclass(frozen=True)
class Cluster:
    """A cluster of equal machines, its object store, and what they cost.

    Attributes
    ----------
    machines
        Number of machines.
    cores
        Cores of a machine.
    image_seconds
        Core-seconds to decode and encode an image (measured).
    image_bytes
        Bytes of an image (clothing photos).
    read_bytes
        Bytes per second that a machine reads (assumed: 2.5 Gbit/s).
    requests
        Requests per second that the store answers for all machines (documented for S3: 5,500 for
        each prefix; assumed: one prefix).
    images_per_request
        Images read by a request: 1 for files, more for archives.
    write_seconds
        Seconds to write a fragment (assumed).
    list_seconds
        Seconds to list 1,000 names (assumed).
    receipt_seconds
        Seconds of the driver for a shard (assumed).
    loss_hours
        Mean hours until a machine is lost (assumed for spot machines).
    start_seconds
        Seconds until a machine is ready: start, installation and loading of the model (assumed).
    dollars
        Price of a machine for an hour (assumed).
    """

    machines: int
    cores: int = 8
    image_seconds: float = 2 / 228
    image_bytes: float = 28e3
    read_bytes: float = 2.5e9 / 8
    requests: float = 5_500
    images_per_request: int = 1
    write_seconds: float = 0.5
    list_seconds: float = 0.1
    receipt_seconds: float = 0.002
    loss_hours: float = 24.0
    start_seconds: float = 120.0
    dollars: float = 0.357


@dataclass(frozen=True)
class Course:
    """What a simulated embedding took.

    Attributes
    ----------
    seconds
        From the start of the machines to the last receipt.
    machine_hours, dollars
        Of all machines until then.
    busy
        Share of the time in which cores compute.
    lost
        Number of lost machines; the shard of each is done again.
    limit
        What determines the speed: ``"cores"``, ``"requests"``, ``"network"`` or ``"listing"``.
    """

    seconds: float
    machine_hours: float
    dollars: float
    busy: float
    lost: int
    limit: str


def simulate(images: int, cluster: Cluster, seed: int = 0) -> Course:
    """Simulate the embedding of a number of images."""
    rng = np.random.default_rng(seed)
    compute = SHARD * cluster.image_seconds / cluster.cores
    network = SHARD * cluster.image_bytes / cluster.read_bytes
    requests = SHARD / cluster.images_per_request * cluster.machines / cluster.requests
    listing = SHARD / 1_000 * cluster.list_seconds
    shard_seconds = max(compute, network, requests) + cluster.write_seconds
    shards = -(-images // SHARD)
    redo: list[int] = []  # shards of lost machines
    listed, done, lost = 0, 0, 0
    driver_free = 0.0
    computed = 0.0
    # An event is a time, a number that breaks ties, and the time at which this machine is lost.
    losses = cluster.start_seconds + rng.exponential(cluster.loss_hours * 3600, cluster.machines)
    events = [(cluster.start_seconds, number, losses[number]) for number in range(cluster.machines)]
    heapq.heapify(events)
    ties = cluster.machines
    now = 0.0
    while done < shards and events:
        now, _, loss = heapq.heappop(events)
        if redo:
            redo.pop()
        elif listed < shards:
            listed += 1
            now = max(now, listed * listing)  # the names of the shard must be known
        else:
            continue  # the machine has no more work
        end = now + shard_seconds
        ties += 1
        if end > loss:
            lost += 1
            redo.append(1)
            ready = loss + cluster.start_seconds
            following = ready + rng.exponential(cluster.loss_hours * 3600)
            heapq.heappush(events, (ready, ties, following))
            continue
        driver_free = max(driver_free, end) + cluster.receipt_seconds
        done += 1
        computed += compute
        heapq.heappush(events, (end, ties, loss))
    seconds = driver_free
    hours = cluster.machines * seconds / 3600
    slowest = {
        "cores": compute,
        "requests": requests,
        "network": network,
        "listing": listing * cluster.machines,
    }
    return Course(
        seconds,
        hours,
        hours * cluster.dollars,
        computed / (cluster.machines * seconds),
        lost,
        max(slowest, key=lambda name: slowest[name]),
    )


def with_profile(cluster: Cluster, path: Path) -> Cluster:
    """Return the cluster with the core-seconds of an image that ``embed --profile`` measured."""
    profile = json.loads(path.read_text(encoding="utf-8"))["profile"]
    seconds = sum(profile["busy_seconds"][stage] for stage in ("decode", "encode"))
    return replace(cluster, image_seconds=seconds / profile["images"])


def print_model(images: list[int], machines: list[int], profile: Path | None) -> None:
    """Print the course of each size, with files and with archives of 1,000 images."""
    print(
        f"{'images':>13} {'machines':>9} {'read':>9} {'hours':>9} {'machine-h':>11} "
        f"{'dollars':>9} {'busy':>6} {'lost':>5}  limit"
    )
    for count in images:
        for number in machines:
            for name, each in (("files", 1), ("archives", 1_000)):
                cluster = Cluster(number, images_per_request=each)
                if profile is not None:
                    cluster = with_profile(cluster, profile)
                found = simulate(count, cluster)
                print(
                    f"{count:>13,} {number:>9,} {name:>9} {found.seconds / 3600:>9.2f} "
                    f"{found.machine_hours:>11.1f} {found.dollars:>9.2f} {found.busy:>6.0%} "
                    f"{found.lost:>5}  {found.limit}"
                )


# A large store


def synthetic_store(folder: Path, rows: int) -> Store:
    """Write a store of random content ids, with vectors of one dimension."""
    spec = Spec({"architecture": "synthetic", "dim": 1}, {"size": [1, 1]}, "fp32")
    store = Store(Workspace(folder), spec)
    store.create()
    rng = np.random.default_rng(0)
    for start in range(0, rows, SHARD):
        count = min(SHARD, rows - start)
        ids = pa.FixedSizeBinaryArray.from_buffers(
            CONTENT_ID, count, [None, pa.py_buffer(rng.bytes(32 * count))]
        )
        ones = pa.array(np.ones(count, np.int32))
        table = pa.table(
            {
                "content_id": ids,
                "embedding": pa.FixedSizeListArray.from_arrays(
                    pa.array(np.ones(count, np.float32)), 1
                ),
                "width": ones,
                "height": ones,
                "n_bytes": pa.array(np.ones(count, np.int64)),
            }
        )
        metadata = {"spec": spec.to_json(), "format": "1", "provenance": "{}"}
        write_fragment(store.folder / "fragments", table, metadata)
    return store


def print_store(rows: int, folder: Path) -> None:
    """Print the seconds and the memory of opening a store and of searching a million ids in it."""
    started = time.perf_counter()
    store = synthetic_store(folder, rows)
    seconds = time.perf_counter() - started
    print(f"{rows:,} rows in {-(-rows // SHARD):,} fragments, {seconds:.0f} s to write")
    before, started = peak_bytes(), time.perf_counter()
    known = store.content_ids()
    seconds = time.perf_counter() - started
    print(f"all content ids: {seconds:.1f} s, {(peak_bytes() - before) / rows:.0f} bytes a row")
    count = min(rows, 1_000_000)
    wanted = pa.concat_arrays(known.slice(rows - count, count).chunks)
    del known
    before, started = peak_bytes(), time.perf_counter()
    missing = store.missing(wanted)
    seconds = time.perf_counter() - started
    assert not missing.any()
    print(
        f"missing, of {count:,}: {seconds:.1f} s, "
        f"{max(peak_bytes() - before, 0) / rows:.0f} more bytes a row of the store"
    )


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=("model", "store"), default=[])
    parser.add_argument("--images", type=float, nargs="*", default=[1e6, 1e8, 1e9])
    parser.add_argument("--machines", type=int, nargs="*", default=[1, 16, 256])
    parser.add_argument("--profile", type=Path, help="the output of `embedpipe embed --profile`")
    parser.add_argument("--rows", type=float, default=1e7, help="rows of the synthetic store")
    parser.add_argument("--folder", type=Path, help="folder of the store [default: temporary]")
    given = parser.parse_args()
    parts = given.parts or ["model", "store"]
    if "model" in parts:
        print_model([int(each) for each in given.images], given.machines, given.profile)
    if "store" in parts:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            print_store(int(given.rows), Path(name))
    return 0


if __name__ == "__main__":
    without_slowing_settings()
    raise SystemExit(main())
