"""The commands `run` and `demo`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome


def test_run(call: Callable[..., Outcome], photos: Callable[..., Path]) -> None:
    arguments = (
        "run", photos(60), "--initial", "coreset", "--strategy", "entropy", "--initial-size", 6,
        "--batch-size", 4, "--rounds", 2, "--json", "--quiet",
    )  # fmt: skip
    result = call(*arguments).json()
    assert list(result) == [
        "run_id", "rounds", "aubc", "copies_left_out", "label_source", "labelled", "report",
    ]  # fmt: skip
    assert (result["label_source"], result["labelled"]) == ("dataset", 60)
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert [list(each) for each in rounds] == [
        [
            "round",
            "labelled",
            "accuracy",
            "macro_f1",
            "select_seconds",
            "fit_seconds",
            "balanced_accuracy",
            "ece",
            "cost",
            "loss",
            "advice",
            "expected_accuracy",
            "expected_accuracy_ci",
        ]
    ] * 3
    assert [each["labelled"] for each in rounds] == [6, 10, 14]
    assert [each["cost"] for each in rounds] == [6, 10, 14]
    report = Path(str(result["report"]))
    assert report.parent.name == result["run_id"]
    assert {path.name for path in report.parent.iterdir()} == {
        "config.json", "rounds.parquet", "picks.parquet", "report.html"
    }  # fmt: skip
    assert rounds[-1]["advice"]["reason"] in (page := report.read_text(encoding="utf-8"))
    assert "coreset, then entropy" in page
    assert call(*arguments).json() == result


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_run_writes_metrics_for_a_tracker(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = (
        "run", photos(60), "--strategy", "entropy", "--initial-size", 6, "--batch-size", 4,
        "--rounds", 2, "--head", "nearest_mean", "--json", "--quiet",
    )  # fmt: skip
    call(*arguments)
    folder = tmp_path / "workspace" / "tracking"
    assert not folder.exists()
    for _ in range(2):  # the second run adds no values
        result = call(*arguments, "--tracker", "tensorboard").json()
    events = EventAccumulator(str(folder / str(result["run_id"]))).Reload()
    written = [(event.step, round(event.value, 6)) for event in events.Scalars("accuracy")]
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert written == [(each["labelled"], round(each["accuracy"], 6)) for each in rounds]
    assert len(list(folder.iterdir())) == 2  # with random selection
    wrong = call(*arguments, "--tracker", "paper")
    assert wrong.status == 2
    assert "tensorboard" in wrong.err


def test_run_with_replay_noise_and_rare_classes(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    arguments = (
        "run", photos(60), "--initial", "random", "--initial-size", 6, "--batch-size", 8,
        "--rounds", 9, "--no-baseline", "--quiet", "--mode", "replay", "--buffer-size", 5,
        "--skip", 1, "--noise", 0.2, "--noise-kind", "confusable", "--abstain", 0.2,
        "--long-tailed", 4, "--rare", "class0=3", "--head", "nearest_mean",
    )  # fmt: skip
    text = call(*arguments).out.splitlines()
    result = call(*arguments, "--json").json()
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert rounds[-1]["cost"] > rounds[-1]["labelled"]
    assert text[-1] == f"report: {result['report']}"
    config = json.loads((Path(str(result["report"])).parent / "config.json").read_text())
    assert (config["mode"], config["buffer_size"], config["skip"]) == ("replay", 5, 1)
    assert dict(config["labelling"]) == {
        "noise": 0.2, "kind": "confusable", "abstain": 0.2, "cost": []
    }  # fmt: skip
    # 16 of each class: 16 and 8 and 4 by the long tail, one of them cut to 3; one is skipped.
    asked = rounds[-1]["cost"]
    assert asked in {16 + 8 + 3 - 1, 16 + 4 + 3 - 1, 8 + 4 + 3 - 1}
    assert (
        f"stopped after round {rounds[-1]['round']}: no items are left for margin to choose" in text
    )


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    first = Outcome(["demo", "--output", str(tmp_path / "demo"), "--json", "--quiet"]).json()
    assert list(first) == ["items", "rounds", "accuracy", "report", "seconds"]
    assert first["items"] == 1797
    assert first["rounds"][-1]["labelled"] == 400
    assert float(str(first["accuracy"])) > 0.85
    report = Path(str(first["report"])).read_text(encoding="utf-8")
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert report.count("data:image/") >= 400
    outcome = Outcome(["embed", "digits", "--json", "--quiet"]).json()
    assert (outcome["embedded"], outcome["reused"]) == (0, 1797)
