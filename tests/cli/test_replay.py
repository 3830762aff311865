"""The command `replay`: its JSON, files, remarks and errors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.continual import METRICS, ContinualLoop, Memory, Policy, Stream, policies

KEYS = [
    "matrix", "metrics", "report", "summary", "results", "runs", "failures", "pool_share",
    "copies_left_out", "never_learned", "seconds",
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that all tests share, with the embedded digits and the runs."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def call(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs the command with the toy backbone, in this process."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(workspace))

    def run(*arguments: object) -> Result:
        words = ["replay", *map(str, arguments), "--backbone", "toy", "--workers", "0"]
        return CliRunner().invoke(app, words)

    return run


@pytest.fixture
def ordered(call: Callable[..., Result]) -> Callable[..., Result]:
    """Return a function that runs the command on the digits in four experiences, in order."""
    return lambda *arguments: call(
        "digits", "--stream", "order", "--experiences", 4, "--seeds", 2, *arguments
    )


@pytest.fixture
def buckets(tmp_path: Path, photos: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a manifest of 24 photos, eight in each of three buckets."""
    folder = photos(24, classes=2)
    paths = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.jpg"))

    def write(change: Callable[[str, str, str], tuple[str, str, str]]) -> Path:
        rows = []
        for at, path in enumerate(paths):
            rows.append(",".join(change(path, path.split("/")[1], str(1 + at % 3))))
        manifest = tmp_path / "manifest.csv"
        manifest.write_text("\n".join(["path,label,bucket", *rows]))
        return manifest

    return write


def found(outcome: Result) -> dict[str, Any]:
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("\n") == 1
    parsed: dict[str, Any] = json.loads(outcome.stdout)
    return parsed


# Output


def test_json_and_files(ordered: Callable[..., Result], workspace: Path) -> None:
    arguments = ("--policy", "el2n", "--retain", 0.05, "--json")
    result = found(ordered(*arguments))
    assert list(result) == KEYS
    assert (result["runs"], result["failures"], result["never_learned"]) == (8, [], [])
    learned = [(row["method"], row["policy"]) for row in result["summary"]]
    assert learned == [("replay", "el2n"), ("replay", "random"), ("naive", ""), ("joint", "")]
    assert list(result["metrics"]) == list(METRICS)
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)
    streams = [Stream.of(digits, "order", n=4, seed=s).subsampled(0.8, s) for s in (0, 1)]
    loops = [
        ContinualLoop(stream, policy="el2n", seed=s, workspace=workspace).fit()
        for s, stream in enumerate(streams)
    ]
    wanted = np.mean([loop.matrix for loop in loops], axis=0)
    np.testing.assert_allclose(np.array(result["matrix"]), wanted, atol=1e-6)
    means = {name: np.mean([loop.metrics[name] for loop in loops]) for name in METRICS}
    assert result["metrics"] == pytest.approx(means, abs=1e-6)
    assert (
        result["summary"][0]["metrics"]["gem_accuracy"]["mean"] == result["metrics"]["gem_accuracy"]
    )
    assert result["summary"][1]["against_baseline"]["gem_accuracy"] is None
    assert "el2n, 5 %" in Path(result["report"]).read_text(encoding="utf-8")
    before = Path(result["results"]).read_bytes()
    again = found(ordered(*arguments))
    assert {**again, "seconds": 0} == {**result, "seconds": 0}
    assert Path(again["results"]).read_bytes() == before


def test_the_kind_of_figure(ordered: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "matrix.pdf"
    arguments = ("--policy", "random", "--retain", 0.05, "--figure", path, "--figure-kind")
    matrix = found(ordered(*arguments, "matrix", "--json"))["matrix"]
    shown = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    assert {f"{value:.3f}" for row in matrix for value in row} <= set(shown.stdout.split())
    wrong = ordered(*arguments, "labels")
    assert wrong.exit_code == 2
    assert "unknown kind of figure 'labels'" in wrong.stderr


def test_policy_none_has_no_buffer(ordered: Callable[..., Result], tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    result = found(
        ordered("--policy", "none", "--reference-methods", "joint", "--output", output, "--json")
    )
    methods = [row["method"] for row in result["summary"]]
    assert methods == ["naive", "replay", "joint"]
    assert (
        result["metrics"]["gem_accuracy"] == result["summary"][0]["metrics"]["gem_accuracy"]["mean"]
    )
    assert result["report"] == str(output)
    assert "naive" in output.read_text(encoding="utf-8")


def test_undefined_values_are_null(ordered: Callable[..., Result]) -> None:
    result = found(ordered("--protocol", "streaming", "--reference-methods", "", "--json"))
    matrix = result["matrix"]
    assert [[value is None for value in row] for row in matrix] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]
    assert result["metrics"]["clear_accuracy"] is None
    assert result["metrics"]["clear_next_domain"] == pytest.approx(
        np.mean([matrix[at][at + 1] for at in range(3)]), abs=1e-6
    )


def test_the_text_has_a_table_and_the_files(ordered: Callable[..., Result]) -> None:
    outcome = ordered("--head", "slda,logistic", "--seed-offset", 5, "--seeds", 1)
    assert outcome.exit_code == 0, outcome.stderr
    assert "digits-order4; logistic; 1 seed" in outcome.stdout
    assert "random, 5 %" in outcome.stdout
    assert "\nreport: " in outcome.stdout
    assert "0 of 5 runs, 0 of 14 rounds" in outcome.stderr
    assert "slda does not forget: it needs no buffer, and was trained without one" in outcome.stderr
    quiet = ordered("--head", "slda,logistic", "--seed-offset", 5, "--seeds", 1, "--quiet")
    assert quiet.stderr == ""


def test_buckets_are_the_default_stream(
    call: Callable[..., Result], buckets: Callable[..., Path]
) -> None:
    manifest = buckets(lambda *row: row)
    result = found(
        call(manifest, "--retain", "2,3", "--seeds", 1, "--reference-methods", "", "--json")
    )
    assert np.array(result["matrix"]).shape == (3, 3)
    assert [row["retain"] for row in result["summary"]] == ["2", "3"]
    assert all(row["stream"].endswith("-buckets") for row in result["summary"])
    left = found(call(manifest, "--leave-out", "2", "--retain", 2, "--seeds", 1, "--json"))
    assert np.array(left["matrix"]).shape == (2, 2)


def test_without_buckets_the_stream_is_by_class(
    call: Callable[..., Result], photos: Callable[..., Path]
) -> None:
    result = found(call(photos(16, classes=4), "--seeds", 1, "--reference-methods", "", "--json"))
    assert np.array(result["matrix"]).shape == (2, 2)
    assert result["summary"][0]["stream"].endswith("-classes")


def test_a_class_without_training_images_is_reported(
    call: Callable[..., Result], buckets: Callable[..., Path]
) -> None:
    manifest = buckets(
        lambda path, label, bucket: (path, "late" if bucket == "3" else label, bucket)
    )
    words = (manifest, "--protocol", "streaming", "--seeds", 1, "--retain", 2)
    outcome = call(*words, "--json")
    assert found(outcome)["never_learned"] == ["late"]
    assert outcome.stderr.splitlines()[-1] == (
        "classes without training images: late; their test images count as wrong"
    )


def test_all_policies_in_one_study(ordered: Callable[..., Result]) -> None:
    words = ("--policy", ",".join(policies), "--baseline", "el2n(take=hardest)", "--retain", 40)
    result = found(ordered(*words, "--experiences", 2, "--seeds", 1, "--json"))
    assert result["failures"] == []
    assert {row["policy"] for row in result["summary"]} == {*policies, ""}
    compared = {row["policy"]: row["against_baseline"] for row in result["summary"]}
    assert [name for name in policies if compared[name]["gem_accuracy"] is None] == ["el2n"]


def test_failures_are_reported_after_the_other_runs(
    ordered: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "_entries", dict(policies._entries))

    @policies.register("broken")
    class Broken(Policy):
        """Fails."""

        name = "broken"

        def update(self, *given: object) -> Memory:
            raise ArithmeticError("no sum")

    outcome = ordered(
        "--policy", "broken,random", "--seeds", 1, "--reference-methods", "", "--json"
    )
    assert outcome.exit_code == 1
    result = json.loads(outcome.stdout)
    failure = "digits-order4: logistic, broken, 5 %; seed 0: ArithmeticError: no sum"
    assert (result["runs"], result["failures"]) == (1, [failure])
    assert outcome.stderr.splitlines()[-1] == (
        f"embedpipe: 1 task failed; {failure}. The other tasks are done; run the same command "
        "again to retry."
    )
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert f"<li>{failure}</li>" in page


# Errors


def refused(outcome: Result) -> tuple[int, str]:
    assert outcome.stdout == ""
    return outcome.exit_code, outcome.stderr.removesuffix("\n")


def test_a_bucket_without_labels(call: Callable[..., Result], buckets: Callable[..., Path]) -> None:
    manifest = buckets(lambda path, label, bucket: (path, label if bucket != "2" else "", bucket))
    assert refused(call(manifest, "--quiet")) == (
        1,
        "embedpipe: bucket '2' has 8 rows and no label: label some of its rows, or leave the "
        "bucket out.",
    )
    assert call(manifest, "--leave-out", "2", "--seeds", 1, "--retain", 2).exit_code == 0


def test_a_single_bucket(call: Callable[..., Result], buckets: Callable[..., Path]) -> None:
    manifest = buckets(lambda path, label, bucket: (path, label, "7"))
    assert refused(call(manifest, "--quiet")) == (
        2,
        "embedpipe: a stream needs at least two experiences, but there is only '7': check the "
        "buckets, or use another kind of stream.",
    )


def test_a_budget_larger_than_a_bucket(
    call: Callable[..., Result], buckets: Callable[..., Path]
) -> None:
    manifest = buckets(lambda *row: row)
    assert refused(call(manifest, "--budget", 99, "--retain", 2, "--quiet")) == (
        2,
        "embedpipe: the budget is 99 labels, but experience '1' has 5 rows to label: give 1 to 5.",
    )
    result = found(call(manifest, "--budget", 4, "--retain", 2, "--seeds", 1, "--json"))
    assert result["failures"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "el2m"), "unknown policy 'el2m'. Did you mean 'el2n'? Known: "),
        (
            ("--policy", "el2n(take=hard)"),
            "unknown take 'hard'. Did you mean 'hardest'? Known: easiest, hardest, median.",
        ),
        (("--policy", ","), "--policy is empty: give one or more values, separated by commas."),
        (
            ("--retain", "5%"),
            "--retain 5%: give a share of each experience, such as 0.05, or a total number of "
            "rows, such as 500.",
        ),
        (
            ("--retain", "1.5"),
            "--retain 1.5: the size of the buffer is 1.5: give a share of each experience above 0 "
            "and at most 1, such as 0.05, or a number of rows, at least 1, such as 500.",
        ),
        (
            ("--stream", "bucket"),
            "unknown kind of stream 'bucket'. Did you mean 'buckets'? Known: buckets, classes, "
            "folders, order, random, skewed.",
        ),
        (
            ("--protocol", "stream"),
            "unknown protocol 'stream'. Did you mean 'streaming'? Known: iid, streaming.",
        ),
        (
            ("--reference-methods", "naive,jiont"),
            "unknown reference method 'jiont'. Did you mean 'joint'? Known: cumulative, joint, "
            "naive.",
        ),
        (
            ("--mix", "balance"),
            "unknown mix 'balance'. Did you mean 'balanced'? Known: balanced, concatenated.",
        ),
        (("--head", "logistik"), "unknown head 'logistik'. Did you mean 'logistic'? Known: "),
        (("--strategy", "marign"), "unknown strategy 'marign'. Did you mean 'margin'? Known: "),
        (("--baseline", "rnadom"), "unknown policy 'rnadom'. Did you mean 'random'? Known: "),
        (
            ("--stream", "order", "--leave-out", "3"),
            "--leave-out 3: a stream of kind 'order' has no buckets and no folders to leave out.",
        ),
        (
            ("--stream", "folders", "--experiences", "3"),
            "--experiences 3: the number of folders is fixed; leave the option out, or choose "
            "another kind of stream.",
        ),
    ],
)
def test_wrong_options_are_refused_before_the_embedding(
    call: Callable[..., Result],
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "nothing"))
    status, text = refused(call("digits", *arguments))
    assert status == 2
    if message.endswith("Known: "):
        assert text.startswith(f"embedpipe: {message}")
        assert "\n" not in text
    else:
        assert text == f"embedpipe: {message}"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--stream", "buckets"),
            "dataset 'digits' has no buckets: give a manifest with a bucket column, or use another "
            "kind of stream (classes, order, folders, random, skewed).",
        ),
        (
            ("--stream", "order", "--experiences", "1"),
            "the number of experiences is 1: give 2 to 1797 (the labelled items).",
        ),
        (
            ("--experiences", "11"),
            "the number of experiences is 11: give 2 to 10 (the classes).",
        ),
    ],
)
def test_streams_that_the_dataset_does_not_support(
    call: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    assert refused(call("digits", *arguments, "--quiet")) == (2, f"embedpipe: {message}")


def test_methods_have_rows_with_and_without_a_buffer(call: Callable[..., Result]) -> None:
    result = call(
        "digits", "--stream", "classes", "--experiences", 5, "--seeds", 1, "--json",
        "--head", "sgd(epochs=2)", "--method", "ewc(strength=10,mode=online),gdumb",
        "--policy", "class_balanced", "--retain", "40", "--reference-methods", "naive",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    rows = [(row["method"], row["policy"], row["retain"]) for row in found["summary"]]
    assert rows == [
        ("ewc(strength=10.0, mode=online)", "", ""),
        ("gdumb", "class_balanced", "40"),
        ("replay", "random", "40"),
        ("naive", "", ""),
    ]
    page = Path(found["report"]).read_text()
    assert "ewc(strength=10.0, mode=online)" in page
    assert "gdumb; class_balanced, 40 rows" in page
    refused = call("digits", "--method", "ewc", "--quiet")
    assert refused.exit_code == 2
    assert refused.stderr.strip() == (
        "embedpipe: method ewc changes the training steps of a head, and LogisticHead is not "
        "trained in such steps: use the head sgd."
    )
