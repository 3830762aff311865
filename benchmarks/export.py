"""An exported model in an environment without embedpipe: agreement, size and speed.

Trains a logistic head on photos of clothes, exports the model, makes a virtual environment with the
runtime, NumPy and Pillow only, and runs the `predict.py` of the export there on other photos.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embedpipe as ep

PACKAGES = {"onnx": ["onnxruntime"], "openvino": ["openvino"]}

TIMED = """
import json, runpy, sys, time
script = runpy.run_path(sys.argv[1])
paths = json.load(open(sys.argv[2]))
script["predict"](paths[:1])
started = time.perf_counter()
rows = []
for at in range(0, len(paths), 32):
    rows += script["predict"](paths[at : at + 32]).tolist()
seconds = time.perf_counter() - started
import importlib.util
others = [name for name in ("embedpipe", "torch", "sklearn") if importlib.util.find_spec(name)]
json.dump({"rows": rows, "seconds": seconds, "others": others}, sys.stdout)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="clothing-dataset-small.zip")
    parser.add_argument("--format", choices=list(PACKAGES), default="onnx")
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--precision", default="fp32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))
    return 0


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    dataset = ep.load_dataset("clothing", source=arguments.source)
    items = [dataset.items[row] for row in np.random.default_rng(0).permutation(len(dataset))]
    training, test = items[: arguments.labels], items[arguments.labels :][: arguments.photos]
    paths = []
    for number, (_, content) in enumerate(dataset.source.read([item.id for item in test])):
        assert isinstance(content, bytes)
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(content)
    embeddings = ep.embed(
        dataclasses.replace(dataset, items=tuple(sorted(training, key=lambda item: item.id))),
        workspace=folder / "workspace",
        precision=arguments.precision,
    )
    labels = {item.id: str(item.label) for item in training}
    ep.train(embeddings, labels, head="logistic", output=folder / "model.safetensors")
    started = time.perf_counter()
    done = ep.export_model(
        folder / "model.safetensors", folder / "exported", format=arguments.format
    )
    print(f"export: {time.perf_counter() - started:.1f} s, {done}")
    model = ep.load_model(folder / "model.safetensors")
    model.predict(paths[:32])  # loads the backbone
    started = time.perf_counter()
    expected = model.predict(paths)
    print(f"model.predict: {len(paths) / (time.perf_counter() - started):.1f} images/s")
    found = in_clean_environment(arguments.format, folder, paths)
    probabilities = np.array(found["rows"])
    other = int((probabilities.argmax(1) != expected.probabilities.argmax(1)).sum())
    difference = float(np.abs(probabilities - expected.probabilities).max())
    print(f"packages found there: {found['others']}")
    print(f"other classes: {other} of {len(paths)}; largest difference {difference:.2g}")
    print(f"predict.py: {len(paths) / found['seconds']:.1f} images/s")
    for path in sorted((folder / "exported").iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


def in_clean_environment(form: str, folder: Path, paths: list[Path]) -> dict[str, object]:
    subprocess.run([sys.executable, "-m", "venv", folder / "clean"], check=True)
    python = folder / "clean" / "bin" / "python"
    packages = [*PACKAGES[form], "numpy", "pillow"]
    subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", *packages], check=True)
    (folder / "paths.json").write_text(json.dumps([str(path) for path in paths]))
    (folder / "timed.py").write_text(TIMED)
    words = [python, "-I", "timed.py", folder / "exported" / "predict.py", "paths.json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
