"""The protocol of Sener and Savarese: the checkpoints of its episodes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep

from .conftest import Run

SMALL = (
    "digits", "--backbone", "toy", "--initial-size", 30, "--batch-size", 30, "--episodes", 3,
    "--epochs", 2, "--seeds", 2, "--output", "out",
)  # fmt: skip


def checkpoints(folder: Path, strategy: str, seed: int) -> list[Path]:
    (found,) = (folder / "out" / "checkpoints").glob(f"digits-random-{strategy}-s{seed}-*")
    return sorted(found.iterdir())


def test_a_checkpoint_has_model_optimiser_loss_and_accuracy(pipeline: Run, tmp_path: Path) -> None:
    printed = pipeline("coreset.py", *SMALL, "--tracker", "tensorboard").stdout
    accuracies = [float(text) for text in re.findall(r"accuracy ([\d.]+)", printed)]
    found = [
        ep.load_head(path)
        for strategy in ("coreset", "random")
        for seed in (0, 1)
        for path in checkpoints(tmp_path, strategy, seed)
    ]
    assert [metadata["episode"] for _, metadata in found] == [0, 1, 2] * 4
    assert [round(metadata["accuracy"], 4) for _, metadata in found] == accuracies
    losses = [metadata["loss"] for _, metadata in found]
    assert all(0.0 < loss < 4.0 for loss in losses)
    assert len(set(losses)) == len(losses) - 2  # the two strategies begin with the same labels
    for head, metadata in found:
        assert metadata["loss"] == head.loss_
        steps = 2 * -(-metadata["labelled"] // 32)
        assert metadata["optimiser"]["steps"] == head.adam_steps_ == steps
        assert metadata["optimiser"]["name"] == "AdamW"
        assert head.adam_mean_hidden_coef_.shape == head.hidden_coef_.shape
        assert head.adam_square_coef_.any()


@pytest.mark.slow
def test_training_continues_exactly_from_a_checkpoint(pipeline: Run, tmp_path: Path) -> None:
    pipeline("coreset.py", *SMALL, "--strategies", "random", "--seeds", 1)
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path / "w")
    paths = checkpoints(tmp_path, "random", 0)
    loaded, metadata = ep.load_head(paths[-1])
    loop = ep.ActiveLoop(
        digits, initial="random", strategy="random", head=ep.format_spec(loaded), seed=0,
        initial_size=30, batch_size=30,
    ).fit(rounds=2)  # fmt: skip
    assert loop.records[-1].rows.tolist() == metadata["rows"]
    rows = digits.rows("train")[:40]
    labels = [digits.items[row].label for row in rows]
    for head in (loaded, loop.fitted):
        head.partial_fit(digits.matrix[rows], labels)
    assert np.array_equal(loaded.coef_, loop.fitted.coef_)
    assert np.array_equal(loaded.adam_square_coef_, loop.fitted.adam_square_coef_)
    assert loaded.adam_steps_ == 2 * 3 + 2 * 2


@pytest.mark.slow
def test_checkpoints_of_other_heads(pipeline: Run, tmp_path: Path) -> None:
    options = ("--seeds", 1, "--episodes", 1, "--strategies", "random")
    for name, minimises, optimiser in (
        ("logistic", True, "quasi-Newton"), ("ridge", True, None), ("knn", False, None),
    ):  # fmt: skip
        pipeline("coreset.py", *SMALL, *options, "--head", name, "--output", name)
        (path,) = (tmp_path / name).rglob("episode_00.safetensors")
        metadata = ep.load_head(path)[1]
        assert (metadata["loss"] is not None) == minimises
        found = metadata["optimiser"]
        assert (found and found["name"]) == optimiser
    printed = pipeline("coreset.py", "digits", "--head", "sklearn.naive_bayes:GaussianNB", status=2)
    assert printed.stderr.startswith("coreset.py: GaussianNB is not a registered head")
    assert printed.stderr.count("\n") == 1
