"""The command `compare`: its keys, its files, its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from embedpipe.cli.main import app


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs the command on the digits with the toy backbone, quickly."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    quick = ["--initial-size", "20", "--batch-size", "10", "--rounds", "2", "--workers", "0"]

    def run(dataset: object, *arguments: object) -> Result:
        words = ["compare", str(dataset), *map(str, arguments)]
        if str(dataset) == "digits":
            words += ["--backbone", "toy"]
        return CliRunner().invoke(app, [*words, *quick])

    return run


def test_json_and_files(call: Callable[..., Result], tmp_path: Path) -> None:
    arguments = ("--strategies", "margin,combine(margin^2, diversity)", "--seeds", 2)
    files = (
        "--figure",
        tmp_path / "curves.pdf",
        "--figure-width",
        "single",
        "--table",
        tmp_path / "table.tex",
    )
    outcome = call("digits", *arguments, "--json", *files)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("\n") == 1
    found = json.loads(outcome.stdout)
    keys = ["summary", "headline", "results", "report", "runs", "failures", "seconds"]
    assert list(found) == keys
    assert found["headline"].startswith(
        "No comparison with random was possible with these 2 pools."
    )
    assert (found["runs"], found["failures"]) == (6, [])
    assert {row["strategy"] for row in found["summary"]} == {
        "margin",
        "combine(margin^2, diversity)",
        "random",
    }
    columns = {"strategy", "initial", "aubc_mean", "aubc_ci", "labels_to_target", "p_value"}
    assert all(columns <= set(row) for row in found["summary"])
    assert Path(found["results"]).name == "results.parquet"
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert "combine(margin^2, diversity)" in page
    assert "embedpipe" in page
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    assert (
        r"combine(margin\textasciicircum{}2, diversity) & " in (tmp_path / "table.tex").read_text()
    )
    before = Path(found["results"]).read_bytes()
    again = json.loads(call("digits", *arguments, "--json").stdout)
    assert again["summary"] == found["summary"]
    assert Path(again["results"]).read_bytes() == before


def test_the_text_has_both_baselines(call: Callable[..., Result]) -> None:
    outcome = call("digits", "--strategies", "coreset", "--seeds", 2, "--seed-offset", 5)
    assert outcome.exit_code == 0, outcome.stderr
    assert "digits, toy; auto, cumulative; 2 seeds, 20 to 40 labels" in outcome.stdout
    assert "upper baseline (all labels) 0." in outcome.stdout
    assert "lower baseline (random) 0." in outcome.stdout
    assert "about" not in outcome.stdout
    assert "0 of 4 runs, 0 of 12 rounds" in outcome.stderr
    assert call("digits", "--seeds", 2, "--quiet").stderr == ""


def test_each_seed_has_its_own_pool(call: Callable[..., Result]) -> None:
    words = ("digits", "--strategies", "coreset", "--seeds", 3, "--no-upper-baseline")
    found = json.loads(call(*words, "--json").stdout)
    for row in found["summary"]:
        assert (row["distinct_runs"], row["p_reason"]) == (3, None)
        assert row["aubc_ci"][0] < row["aubc_mean"] < row["aubc_ci"][1]
        assert (row["pool_share"], row["pool_size"]) == (0.8, 1120)
    line = "each seed: its own random 80 % of the 1,400 candidates"
    assert call(*words).stdout.splitlines()[4] == line  # after the headline and the title
    assert line in Path(found["report"]).read_text(encoding="utf-8")


def test_the_oracle_ceiling_is_a_reference(call: Callable[..., Result]) -> None:
    words = ("digits", "--strategies", "margin", "--seeds", 1, "--oracle-ceiling")
    found = json.loads(call(*words, "--json").stdout)
    assert (found["runs"], found["failures"]) == (3, [])
    assert [row["strategy"] for row in found["summary"]] == ["margin", "random"]
    first, second = (row["oracle_ceiling"] for row in found["summary"])
    assert first == second
    assert (first["seeds"], first["distinct_runs"], list(first["accuracy_at"])) == (
        1,
        1,
        list(found["summary"][0]["accuracy_at"]),
    )
    text = call(*words).stdout
    (line,) = [line for line in text.splitlines() if "oracle ceiling (uses true labels)" in line]
    assert f" {first['aubc_mean']:.3f} (one run) " in line
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert "oracle ceiling (uses true labels)" in page
    assert "oracle" not in page.partition("<h1>")[2].partition("</h1>")[0]


def test_a_deterministic_strategy_counts_as_one_run(call: Callable[..., Result]) -> None:
    words = ("digits", "--strategies", "coreset,margin", "--initials", "coreset", "--seeds", 3)
    words += ("--pool-share", 1)
    outcome = call(*words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    rows = {(row["initial"], row["strategy"]): row for row in found["summary"]}
    assert {key: row["distinct_runs"] for key, row in rows.items()} == {
        ("coreset", "coreset"): 1,
        ("coreset", "margin"): 1,
        ("coreset", "random"): 3,
        ("random", "random"): 3,
    }
    for strategy in ("coreset", "margin"):
        row = rows["coreset", strategy]
        assert row["aubc_ci"] is row["difference_ci"] is row["p_value"] is None
        assert (row["p_reason"], row["seeds"]) == ("identical runs", 3)
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert page.count("not tested: identical runs</td>") == 2
    text = call(*words).stdout
    assert text.count("not tested: identical runs") == text.count("(one run)") == 2


def test_a_grid_file_with_typed_options(call: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("dataset: digits\nbackbone: toy\nstrategies: [margin]\nname: mine\n")
    outcome = call(path, "--seeds", 1, "--json", "--no-upper-baseline")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["runs"] == 2
    assert found["results"].endswith("experiments/mine/results.parquet")
    assert {row["bound"] for row in found["summary"]} == {None}


def test_failures_are_reported_after_the_other_runs(call: Callable[..., Result]) -> None:
    wrong = "combine(margin, metadata(sharpness))"
    outcome = call("digits", "--strategies", f"margin,{wrong}", "--seeds", 1, "--json")
    assert outcome.exit_code == 1
    found = json.loads(outcome.stdout)
    assert (found["runs"], len(found["failures"])) == (2, 1)
    assert f"digits, toy: typiclust, then {wrong}; auto, cumulative; seed 0: " in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("embedpipe: 1 task failed; ")
    assert outcome.stderr.splitlines()[-1].endswith(
        "The other tasks are done; run the same command again to retry."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--strategies", "marign"),
            "embedpipe: unknown strategy 'marign'. Did you mean 'margin'?",
        ),
        (("--heads", "logistik"), "embedpipe: unknown head 'logistik'. Did you mean 'logistic'?"),
        (("--initials", "margin"), "embedpipe: 'margin' cannot choose the first batch:"),
        (("--modes", "replya"), "embedpipe: unknown mode 'replya'. Did you mean 'replay'?"),
        (("--target-share", "95"), "embedpipe: target is 95.0: give a share"),
        (
            ("--figure", "x.doc"),
            "embedpipe: cannot draw x.doc: its name must end in .pdf, .svg or .png.",
        ),
        (
            ("--figure-kind", "labls"),
            "embedpipe: unknown kind of figure 'labls'. Did you mean 'labels'?",
        ),
        (
            ("--figure-width", "singel"),
            "embedpipe: unknown width 'singel'. Did you mean 'single'?",
        ),
        (
            ("--table", "x.doc"),
            "embedpipe: cannot write x.doc: its name must end in .tex, .md or .csv.",
        ),
    ],
)
def test_wrong_usage_is_an_error_in_one_line(
    call: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    outcome = call("digits", *arguments, "--seeds", 1, "--quiet")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith(message)
    assert outcome.stderr.count("\n") == 1


def test_a_target_is_stated_and_random_ignores_it(call: Callable[..., Result]) -> None:
    words = ("digits", "--strategies", "auto", "--seeds", 2, "--target", "test")
    outcome = call(*words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    chosen_for = {"name": "test", "items": 397, "test_images": 397}
    assert [row["chosen_for"] for row in found["summary"]] == [chosen_for] * 2
    line = "397 images of test; 397 are test images, so the accuracy is transductive"
    assert line in Path(found["report"]).read_text(encoding="utf-8")
    assert f"chosen for: {line}" in call(*words).stdout
    plain = json.loads(call(*words[:-2], "--json").stdout)
    assert [row["chosen_for"] for row in plain["summary"]] == [None, None]
    areas = [
        {row["strategy"]: row["aubc_mean"] for row in each["summary"]} for each in (found, plain)
    ]
    assert areas[0]["random"] == areas[1]["random"]
    assert areas[0]["auto"] != areas[1]["auto"]


def test_a_grid_file_names_a_folder_beside_it(
    call: Callable[..., Result], photos: Callable[..., Path], tmp_path: Path
) -> None:
    photos(40), photos(6, name="shop")
    file = tmp_path / "grid.yaml"
    file.write_text(
        "{dataset: photos, backbone: toy, strategies: [max_herding], seeds: 2, target: shop}"
    )
    outcome = call(file, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    row = json.loads(outcome.stdout)["summary"][0]["chosen_for"]
    assert (row["name"].partition("-")[0], row["items"]) == ("shop", 6)


def test_a_number_as_target_has_its_old_meaning(call: Callable[..., Result]) -> None:
    words = ("digits", "--strategies", "coreset", "--seeds", 2)
    outcome = call(*words, "--target", "0.5")
    assert "`--target 0.5` is now `--target-share 0.5`" in outcome.stderr
    assert "(50 % of the upper baseline)" in outcome.stdout
    assert outcome.stdout == call(*words, "--target-share", "0.5").stdout
    refused = call("digits", "--strategies", "auto,margin", "--target", "test")
    assert refused.exit_code == 1
    assert "strategy 'margin' does not use a target: use one of auto, coreset" in refused.stderr
