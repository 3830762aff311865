"""The commands `embed` and `select`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from tests.cli.conftest import Outcome, read_csv


def test_embed(call: Callable[..., Outcome], photos: Callable[..., Path]) -> None:
    folder = photos(12)
    first = call("embed", folder, "--json").json()
    assert list(first) == [
        "dataset", "spec_id", "items", "embedded", "reused", "failed", "failures", "dim",
        "seconds", "images_per_second", "remarks", "notes",
    ]  # fmt: skip
    assert (first["items"], first["embedded"], first["reused"]) == (12, 12, 0)
    (folder / "class0" / "0000.jpg").write_bytes(b"no image")
    outcome = call("embed", folder)
    assert outcome.status == 0
    assert "12 items, 0 embedded, 11 reused, 1 failed; 48 dimensions" in outcome.out
    assert outcome.err == "`class0/0000.jpg` is not an image in a supported format.\n"
    assert call("embed", folder, "--quiet").err == ""


def test_embed_prints_the_stage_that_limits_the_speed(
    call: Callable[..., Outcome], photos: Callable[..., Path]
) -> None:
    outcome = call("embed", photos(12), "--profile", "--json")
    profile = outcome.json()["profile"]
    assert isinstance(profile, dict)
    assert profile["images"] == 12
    assert set(profile["busy_seconds"]) == {"read", "decode", "encode", "write"}
    assert profile["images"] / profile["seconds"] <= profile["ideal_images_per_second"]
    assert f"bottleneck: {profile['bottleneck']}; " in outcome.err
    again = call("embed", photos(12), "--profile", "--json")
    assert "profile" not in again.json()


def test_select_lists_and_shows_the_group_of_each_pick(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, page = photos(), tmp_path / "picks.html"
    result = call("select", folder, "-n", 3, "--groups", 2, "--report", page, "--json").json()
    picks = result["picks"]
    assert isinstance(picks, list)
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path / "workspace")
    chosen = ep.select(embeddings, n=3)
    for pick, row, group in zip(
        picks, chosen.rows, ep.groups(embeddings, chosen.rows), strict=True
    ):
        assert pick["id"] == embeddings.items[row].id
        assert pick["stands_for"] == len(group.rows)
        assert pick["members"] == [
            {"id": embeddings.items[member].id, "distance": float(distance)}
            for member, distance in zip(group.rows[:2], group.distances[:2], strict=True)
        ]
    assert sum(pick["stands_for"] for pick in picks) == 12 - 3
    assert result["report"] == str(page)
    assert "3 images to label next" in page.read_text()
    assert page.read_text().count("<img") == 3 + sum(len(pick["members"]) for pick in picks)


def test_select_does_not_overwrite_an_unreadable_file(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "notes.csv"
    output.write_text("not,labels\n1,2\n")
    assert call("select", photos(), "-n", 2, "--output", output).error() == (
        2,
        f"embedpipe: {output} exists and is not a table of labels ({output}, line 1: no columns "
        "'path' and 'label'; found 2 columns: 'not', 'labels'.): choose another --output, or "
        "remove the file.",
    )
    assert output.read_text() == "not,labels\n1,2\n"


def test_select(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, output = photos(12), tmp_path / "picks.csv"
    result = call("select", folder, "-n", 4, "--json", "--output", output).json()
    assert list(result) == [
        "strategy", "n", "label_source", "labelled", "picks", "diagnostics", "seconds",
    ]  # fmt: skip
    assert (result["strategy"], result["n"]) == ("coreset", 4)
    picks = result["picks"]
    assert isinstance(picks, list)
    assert [pick["rank"] for pick in picks] == [1, 2, 3, 4]
    assert [list(pick) for pick in picks] == [["rank", "id", "path", "score"]] * 4
    assert all(Path(pick["path"]) == folder / pick["id"] for pick in picks)
    rows = read_csv(output)
    assert [row["path"] for row in rows] == [pick["id"] for pick in picks]
    assert {row["label"] for row in rows} == {""}
    plain = call("select", folder, "-n", 4)
    assert plain.out.split() == [pick["id"] for pick in picks]
    again = call("select", folder, "-n", 3, "--labels", labels, "--strategy", "margin", "--json")
    chosen = {pick["id"] for pick in again.json()["picks"]}
    assert not chosen & {row["path"] for row in read_csv(labels)}


def test_filled_in_picks_are_labels(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, picks = photos(12), tmp_path / "picks.csv"
    call("select", folder, "-n", 6, "--output", picks)
    lines = picks.read_text().splitlines()
    filled = [lines[0], *(line.replace(",,", f",{line[5]},") for line in lines[1:-1]), lines[-1]]
    picks.write_text("\n".join(filled))  # the last one is left blank
    result = call("select", folder, "-n", 7, "--labels", picks, "--strategy", "entropy", "--json")
    assert result.json()["n"] == 7
    assert call("select", folder, "-n", 2, "--output", picks).error() == (
        2,
        f"embedpipe: {picks} contains 5 labels: choose another --output to keep them.",
    )


@pytest.mark.parametrize(
    "head", ["mlp(hidden=8, epochs=2)", "sklearn.ensemble:RandomForestClassifier(n_estimators=4)"]
)
def test_select_accepts_a_head_with_options(call, photos, head):
    folder = photos(12)
    items = call("select", folder, "-n", 12, "--json").json()["picks"]
    labels = folder.parent / "some.csv"
    rows = [f"{pick['id']},{pick['id'].split('/')[0]}" for pick in items[:6]]
    labels.write_text("\n".join(["path,label", *rows]))
    options = ["--strategy", "margin", "--head", head, "--labels", labels, "--json"]
    found = call("select", folder, "-n", 3, *options).json()
    assert len({pick["id"] for pick in found["picks"]} - {pick["id"] for pick in items[:6]}) == 3
    again = call("select", folder, "-n", 3, *options).json()
    assert again["picks"] == found["picks"]


def test_select_for_a_folder_or_a_split(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, other = photos(12), photos(4, name="shop")
    outcome = call("select", folder, "-n", 3, "--strategy", "auto", "--target", other, "--json")
    result = outcome.json()
    embeddings, target = (
        ep.embed(each, backbone="toy", workspace=tmp_path / "workspace") for each in (folder, other)
    )
    assert result["target"] == {"name": target.dataset.name, "items": 4}
    assert f"target: 4 images of {other}" in outcome.err
    expected = ep.select(embeddings, n=3, strategy="auto", target=np.asarray(target))
    ids = [embeddings.items[row].id for row in expected.rows]
    assert [pick["id"] for pick in result["picks"]] == ids
    split = call("select", "digits", "-n", 2, "--strategy", "max_herding", "--target", "test")
    assert split.status == 0
    assert "target: 397 images of the split test" in split.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--target nosuch --strategy auto",
            "embedpipe: --target nosuch: 'digits' has no such split (its splits are test, train), "
            "and there is no folder, archive or dataset of this name.",
        ),
        (
            "--target tst --strategy auto",
            "embedpipe: --target tst: 'digits' has no such split (its splits are test, train), "
            "and there is no folder, archive or dataset of this name. Did you mean 'test'?",
        ),
        (
            "--target test --strategy typiclust",
            "embedpipe: strategy 'typiclust' does not use a target: use one of auto, coreset, "
            "doubtful_coverage, facility_location, max_herding, uncertainty_herding, or an "
            "objective for the target, as in combine(margin, target_similarity).",
        ),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(
    call: Callable[..., Outcome], options: str, message: str
) -> None:
    outcome = call("select", "digits", "-n", 2, *options.split())
    assert outcome.out == ""
    assert message in outcome.err.splitlines()
    assert outcome.status in (1, 2)
