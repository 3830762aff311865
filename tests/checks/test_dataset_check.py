"""All checks of a folder of real files."""

from __future__ import annotations

import json

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.checks import as_dict, check, class_imbalance, find_outliers
from embedpipe.errors import LabelError, UsageError
from embedpipe.index import Index
from embedpipe.reports import checks_of


@pytest.fixture(scope="module")
def checked(embeddings):
    return check(embeddings)


@pytest.fixture(scope="module")
def result(embeddings, checked):
    return as_dict(embeddings, checked)


def test_planted_problems_are_found(result, copies):
    assert list(result) == [
        "items", "duplicates", "near_duplicates", "leakage", "outliers", "label_errors",
        "imbalance", "tiny", "blank", "failed", "limits", "not_checked", "labelled", "judged",
        "remarks",
    ]  # fmt: skip
    assert result["items"] == 80 + 4 + 3
    assert [group["items"] for group in result["duplicates"]] == [
        ["test/a/same.jpg", "train/b/005.jpg"]
    ]
    assert result["duplicates"][0]["labels"] == ["a", "b"]
    pairs = sorted(sorted(pair) for pair in copies.items())
    assert sorted(group["items"] for group in result["near_duplicates"]) == pairs
    assert result["leakage"] == [
        {
            "items": ["test/a/004.jpg", "train/a/lossless.png"],
            "labels": ["a"],
            "splits": ["test", "train"],
        },
        {
            "items": ["test/a/same.jpg", "train/b/005.jpg"],
            "labels": ["a", "b"],
            "splits": ["test", "train"],
        },
    ]
    assert [(entry["id"], entry["width"], entry["height"]) for entry in result["tiny"]] == [
        ("train/a/tiny.jpg", 12, 48)
    ]
    assert [entry["id"] for entry in result["blank"]] == ["train/a/white.jpg"]
    assert [(entry["id"], entry["stage"]) for entry in result["failed"]] == [
        ("train/a/broken.jpg", "decode"),
        ("train/a/half.jpg", "decode"),
    ]
    assert result["imbalance"]["classes"] == {"a": 47, "b": 40}
    assert result["imbalance"]["ratio"] == 47 / 40
    # Of the photos, those whose number can be divided by four are in the test split: all are "a".
    assert result["imbalance"]["missing"] == [{"split": "test", "label": "b"}]
    assert result["limits"]["tiny"] == 32
    assert result["not_checked"] == {}
    assert json.loads(json.dumps(result)) == result


def test_paths_lead_to_the_files(result, folder):
    for key in ("tiny", "blank", "failed"):
        for entry in result[key]:
            assert entry["path"] == str(folder / entry["id"])


def test_without_pixels_nothing_is_read(embeddings, monkeypatch):
    source = type(embeddings.dataset.source)
    monkeypatch.setattr(source, "read", lambda *_: pytest.fail("an image was read"))
    found = check(embeddings, pixels=False)
    assert (found.tiny.size, found.blank.size, found.tiny_side, found.sizes) == (0, 0, None, None)
    assert found.not_checked == {
        "tiny": "the images were not read",
        "blank": "the images were not read",
    }
    assert len(found.near_duplicates.groups) >= 2


def test_files_deleted_after_embedding_are_reported(photos, tmp_path):
    folder = photos(30)
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    (folder / "class1" / "0001.jpg").unlink()
    (folder / "class2" / "0002.jpg").write_bytes(b"")
    found = check(embeddings)
    assert [(f.path, f.stage) for f in found.failures] == [
        ("class1/0001.jpg", "read"),
        ("class2/0002.jpg", "decode"),
    ]
    assert found.sizes[~np.isin(np.arange(30), [10, 20])].tolist() == [[40, 32]] * 28


def test_given_labels_replace_those_of_the_dataset(embeddings):
    labels = {item.id: "xy"[row % 2] for row, item in enumerate(embeddings.items[:40])}
    labels["train/a/broken.jpg"] = "x"  # it has no vector
    found = check(embeddings, labels=labels, pixels=False)
    assert found.imbalance.counts == {"x": 20, "y": 20}
    assert found.labels[:2] == ("x", "y")
    assert found.labels[40] is None
    nothing = check(embeddings, labels={}, pixels=False)
    assert nothing.not_checked["label_errors"] == "there are no labels"
    assert nothing.not_checked["imbalance"] == "there are no labels"
    assert nothing.label_errors.rows.size == 0
    with pytest.raises(LabelError, match="1 of 1 labelled paths is not in the dataset"):
        check(embeddings, labels={"nowhere.jpg": "x"}, pixels=False)


@pytest.mark.parametrize(
    ("names", "judged", "reason"),
    [
        ([], 0, "there are no labels"),
        (["x"] * 6, 0, "there is only one class"),
        (
            ["x", "y", "z"],
            0,
            "each of the 3 classes has only one distinct image; two are needed",
        ),
        (["x", "y", "x", "y", "z"], 4, None),
    ],
)
def test_labels_that_could_not_be_checked_are_reported(embeddings, names, judged, reason):
    labels = {item.id: name for item, name in zip(embeddings.items, names, strict=False)}
    found = as_dict(embeddings, check(embeddings, labels=labels, pixels=False))
    assert (found["judged"], found["labelled"]) == (judged, len(names))
    assert found["not_checked"].get("label_errors") == reason
    page = checks_of(embeddings, check(embeddings, labels=labels, pixels=False))
    facts = dict(page.facts)
    if reason is not None:
        assert facts["Doubtful labels"] == f"not checked: {reason}"
    else:
        assert facts["Doubtful labels"] == str(len(found["label_errors"]))
        assert page.kinds[0].note.endswith(
            "4 of 5 labels were checked; each other label is the only one of its class."
        )


def test_an_unknown_kind_of_index_is_refused(embeddings):
    with pytest.raises(UsageError) as caught:
        check(embeddings, index="flat")
    message = "unknown kind of index 'flat'; expected auto, exact, ivf or hnsw."
    assert str(caught.value) == message


def test_outliers_equal_those_of_brute_force():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((300, 6)).astype(np.float32)
    matrix[[5, 50]] *= 12
    matrix[51] = matrix[50]  # a copy does not hide an outlier, and is one as well
    found = find_outliers(Index(matrix))
    distinct = np.delete(np.arange(300), 51)
    gaps = matrix[distinct, None].astype(float) - matrix[None, distinct]
    tenth = np.sort(np.sqrt((gaps**2).sum(axis=2)), axis=1)[:, 10]
    logs = np.log(tenth)
    middle, upper = np.quantile(logs, [0.5, 0.75])
    scores = (logs - middle) / ((upper - middle) / 0.6744897501960817) / 3
    expected = {int(row): score for row, score in zip(distinct, scores, strict=True) if score >= 1}
    expected[51] = expected[50]
    assert set(expected) >= {5, 50, 51}
    assert sorted(found.rows.tolist()) == sorted(expected)
    np.testing.assert_allclose(found.scores, [expected[row] for row in found.rows.tolist()])
    assert (np.diff(found.scores) <= 0).all()
    assert found.threshold == 1
    assert find_outliers(Index(matrix[:19])).threshold is None


def test_items_off_the_main_directions_are_outliers_even_in_groups():
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((10, 300)).astype(np.float32)
    matrix = rng.standard_normal((2000, 10)).astype(np.float32) @ plane
    matrix += 0.5 * rng.standard_normal(matrix.shape).astype(np.float32)
    strangers = np.arange(0, 2000, 100)  # too many for the distance to the tenth neighbour
    matrix[strangers] = 2 * rng.standard_normal((20, 300))
    found = find_outliers(Index(matrix))
    assert set(strangers.tolist()) <= set(found.rows.tolist())

    centred = (matrix - matrix.mean(axis=0)).astype(float)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    off = centred - centred @ directions[:20].T @ directions[:20]  # 2000 / 100
    logs = np.log(np.linalg.norm(off, axis=1) / np.linalg.norm(centred, axis=1))
    middle, upper = np.quantile(logs, [0.5, 0.75])
    scores = (logs - middle) / ((upper - middle) / 0.6744897501960817) / 2.5
    result = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    for row in strangers.tolist():
        assert result[row] == pytest.approx(scores[row], rel=0.1)  # directions are nearly the best


def test_classes_by_hand():
    labels = [*"aaaaaaaaab", *"aaaaaaaaaa", None]
    found = class_imbalance(labels, ["train"] * 10 + ["test"] * 11)
    assert found.counts == {"a": 19, "b": 1}
    assert (found.ratio, found.rare, found.missing) == (19.0, (), (("test", "b"),))
    assert class_imbalance(["a"] * 39 + ["b"], [None] * 40).rare == ("b",)
    nothing = class_imbalance([None], ["train"])
    assert (nothing.counts, nothing.ratio, nothing.rare, nothing.missing) == ({}, None, (), ())
