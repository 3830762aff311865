"""Waiting times on the labelling page, with many images and long vectors.

`page` measures the time from a key press in Chromium until the label is stored and the next image
is shown, and the time of searches. It also measures the time of one flush of the same disk.
`round` measures the time to train the model and to choose the next batch, also with scikit-learn
and plain margin sampling. It also measures the time to store a label while the model is trained.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import clusters, timed, without_slowing_settings
from PIL import Image

import embedpipe as ep
from embedpipe.labelling import LabellingSession
from embedpipe.server import LabellingServer

BATCH = 40


def main() -> int:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        {"page": page, "round": round_}[arguments.what](arguments, Path(folder))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["page", "round"])
    parser.add_argument("--items", type=int, help="default: 100,000 for page, 50,000 for round")
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--labels", type=int, default=1000, help="number of labels at the start")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="folder for the images")
    return parser.parse_args()


def make_session(
    folder: Path, n: int, dim: int, labelled: int
) -> tuple[LabellingSession, np.ndarray]:
    """Make a session with n small JPEGs, vectors of ten classes, and some labels."""
    rng = np.random.default_rng(0)
    for number in range(n):
        path = folder / "photos" / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(path, quality=80)
    made = ep.embed(
        ep.load_dataset(str(folder / "photos")), backbone="toy", workspace=folder / "workspace"
    )
    matrix, names = clusters(folder / "vectors.npy", n, dim)
    embeddings = dataclasses.replace(made, matrix=matrix, folder=folder, digest="made up")
    log = ep.LabelLog(folder / "workspace" / "labels.sqlite")
    session = LabellingSession(embeddings, log, who="ann")
    rows = rng.permutation(n)[:labelled]
    for name in np.unique(names):
        session.label(rows[names[rows] == name].tolist(), name)
    return session, names


def print_times(name: str, seconds: Sequence[float]) -> None:
    values = 1000 * np.array(sorted(seconds))
    print(
        f"{name}: {np.median(values):.1f} ms (median of {len(values)}), "
        f"{np.quantile(values, 0.95):.1f} ms (95th percentile), {values[-1]:.1f} ms (maximum)"
    )


def flushes(folder: Path, count: int = 50) -> list[float]:
    """Return the seconds of each write: `count` writes of 20,000 bytes, each with a flush."""
    seconds = []
    with (folder / "flushed").open("wb") as file:
        for _ in range(count):
            start = time.perf_counter()
            file.write(bytes(20_000))
            file.flush()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return seconds


SEARCHES = {
    "by words": "q=0+9+jpg",
    "by state, suggestion and confidence": "state=unlabelled&predicted=0&min_confidence=0.5",
    "by size and date, newest first": "min_side=40&before=2999-12-31&sort=-date",
    "by confidence": "sort=-confidence",
    "by the probability of a class": "likely=1",
}
"""Queries of searches, by a description."""


def search_seconds(server: LabellingServer, query: str) -> float:
    """Return the seconds until the first 100 items of a search have arrived."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/items?{query}",
        headers={"Authorization": f"Bearer {server.token}"},
    )
    start = time.perf_counter()
    with urllib.request.urlopen(request) as response:
        response.read()
    return time.perf_counter() - start


PRESS = """async key => {
  const shown = () => document.querySelector('.stage img');
  const row = document.querySelector('.single').dataset.row;
  const start = performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  for (;;) {
    await new Promise(requestAnimationFrame);
    const next = document.querySelector('.single').dataset.row;
    const stored = !document.querySelector('#progress').textContent.includes('saving');
    const image = shown();
    if (next !== row && next !== '' && stored && image?.complete && image.naturalWidth) break;
    if (performance.now() - start > 20000) throw new Error('no next image');
  }
  return performance.now() - start;
}"""


def page(arguments: argparse.Namespace, folder: Path) -> None:
    """Press keys in Chromium, and measure the time until the next image is shown."""
    from playwright.sync_api import sync_playwright

    session, names = make_session(
        folder, arguments.items or 100_000, arguments.dim, arguments.labels
    )
    print(f"{len(session.ids):,} images, {arguments.dim} dimensions, {arguments.labels:,} labels")
    print(f"first batch: {timed(session.propose, BATCH)[0]:.1f} s, with the index")
    server = LabellingServer(session, folder / "workspace", port=0)
    server.start()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(server.url)
        tab.wait_for_function("() => document.querySelector('.stage img')?.complete", timeout=0)
        classes = session.classes()
        for _ in range(arguments.keys):
            row = int(tab.evaluate("() => document.querySelector('.single').dataset.row"))
            key = "1234567890"[classes.index(names[row])]
            seconds.append(tab.evaluate(PRESS, key) / 1000)
            time.sleep(0.15)  # a user is not faster
        browser.close()
    for name, query in SEARCHES.items():
        first, again = (search_seconds(server, f"{query}{more}") for more in ("", "&offset=100"))
        print(f"search {name}: {1000 * first:.0f} ms, its next page: {1000 * again:.0f} ms")
    server.stop()
    print_times("from a key press to the stored label and the next image", seconds)
    disk = flushes(folder)
    print_times("one flush of the disk", disk)
    print(f"ratio of the medians: {statistics.median(seconds) / statistics.median(disk):.1f}")
    start = time.perf_counter()
    session.undo()
    print(f"undo: {1000 * (time.perf_counter() - start):.1f} ms")


def round_(arguments: argparse.Namespace, folder: Path) -> None:
    """Train and choose a batch while labels are stored; do the same with scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    session, names = make_session(
        folder, arguments.items or 50_000, arguments.dim, arguments.labels
    )
    matrix = session.embeddings.matrix
    print(f"{len(matrix):,} images, {arguments.dim} dimensions, {arguments.labels:,} labels")
    print(f"first batch: {timed(session.propose, BATCH)[0]:.1f} s, with the index")
    meanwhile: list[float] = []
    for turn in range(3):
        done = threading.Event()
        worker = threading.Thread(target=label_on, args=(session, names, done, meanwhile, turn))
        worker.start()
        fit, _ = timed(session.retrain)
        choose, _ = timed(session.propose, BATCH)
        done.set()
        worker.join()
        batch = session.labelled()
        start = time.perf_counter()
        peer = LogisticRegression(max_iter=1000).fit(matrix[batch.rows], batch.labels)
        shares = np.sort(peer.predict_proba(matrix), axis=1)  # (n, C)
        np.argsort(shares[:, -1] - shares[:, -2])[:BATCH]
        plain = time.perf_counter() - start
        ours = fit + choose
        print(
            f"trained and cross-validated in {fit:.2f} s, {BATCH} chosen in {choose:.2f} s; "
            f"scikit-learn with margin, no cross-validation: {plain:.2f} s, "
            f"{plain / ours:.1f} times as long"
        )
    print_times("storing a label while the model is trained", meanwhile)
    print_times("one flush of the disk", flushes(folder))


def label_on(
    session: LabellingSession,
    names: np.ndarray,
    done: threading.Event,
    seconds: list[float],
    turn: int,
) -> None:
    """Label up to 40 images, one every 0.25 seconds, until `done` is set."""
    rows = np.random.default_rng(100 + turn).permutation(len(names))
    for row in rows[:40]:
        took, _ = timed(session.label, [int(row)], str(names[row]))
        seconds.append(took)
        if done.wait(0.25):
            return


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
