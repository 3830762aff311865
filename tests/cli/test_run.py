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
            "rest_accuracy",
        ]
    ] * 3
    assert [each["labelled"] for each in rounds] == [6, 10, 14]
    assert [each["cost"] for each in rounds] == [6, 10, 14]
    report = Path(str(result["report"]))
    assert report.parent.name == result["run_id"]
    assert {path.name for path in report.parent.iterdir()} == {
        "config.json", "rounds.parquet", "picks.parquet", "predictions.parquet", "report.html"
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
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    words = ["demo", "--output", str(tmp_path / "demo"), "--json", "--quiet"]
    first = Outcome(words).json()
    assert opened == []
    assert list(first) == ["items", "rounds", "accuracy", "report", "seconds"]
    assert first["items"] == 1797
    assert first["rounds"][-1]["labelled"] == 400
    assert float(str(first["accuracy"])) > 0.85
    report = Path(str(first["report"])).read_text(encoding="utf-8")
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert report.count("data:image/") >= 400
    assert Outcome([*words, "--open"]).json()["report"] == first["report"]
    assert opened == [(tmp_path / "demo" / "report.html").as_uri()]
    outcome = Outcome(["embed", "digits", "--json", "--quiet"]).json()
    assert (outcome["embedded"], outcome["reused"]) == (0, 1797)


def test_a_report_that_no_browser_opens_has_its_address_in_a_remark(
    call: Callable[..., Outcome], photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    outcome = call(
        "run", photos(60), "--strategy", "random", "--initial-size", 6, "--rounds", 0,
        "--head", "nearest_mean", "--no-baseline", "--open",
    )  # fmt: skip
    page = Path(outcome.out.splitlines()[-1].removeprefix("report: "))
    assert f"no browser was found. Open {page.as_uri()}" in outcome.err


def test_run_for_a_split_states_that_the_accuracy_is_transductive(
    call: Callable[..., Outcome],
) -> None:
    words = (
        "run", "digits", "--strategy", "auto", "--initial", "auto", "--initial-size", 10,
        "--batch-size", 5, "--rounds", 1, "--target", "test",
    )  # fmt: skip
    result = call(*words, "--json").json()
    assert result["target"] == {"name": "test", "items": 397, "test_images": 397}
    page = Path(str(result["report"])).read_text(encoding="utf-8")
    assert "397 (test; 397 are test images)" in page
    text = call(*words).out
    assert (
        "transductive accuracy: 397 of the 397 target images are test images. Their labels are "
        "not used to choose images." in text
    )
    plain = call(*words[:-2], "--json").json()
    assert plain["run_id"] != result["run_id"]
    assert "target" not in plain


def test_run_for_a_folder(call: Callable[..., Outcome], photos: Callable[..., Path]) -> None:
    words = (
        "run", photos(60), "--strategy", "auto", "--initial", "coreset", "--initial-size", 6,
        "--batch-size", 4, "--rounds", 1, "--target", photos(5, name="shop"),
    )  # fmt: skip
    outcome = call(*words, "--json")
    target = outcome.json()["target"]
    assert (target["name"].partition("-")[0], target["items"]) == ("shop", 5)
    assert target["test_images"] == 0  # the images are copies of candidates
    assert "transductive" not in call(*words).out
    refused = call("run", "digits", "--target", "test")
    assert refused.error()[1].startswith("embedpipe: strategy 'margin' does not use a target: use")
