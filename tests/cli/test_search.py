"""Search, zero-shot predictions and selection by words on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome, read_csv
from tests.open_clip_models import save_open_clip

pytest.importorskip("open_clip", exc_type=ModuleNotFoundError)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_open_clip(tmp_path_factory.mktemp("model"))


def test_search_by_words_and_by_an_image(
    call: Callable[..., Outcome], photos: Callable[..., Path], backbone: str
) -> None:
    folder = photos(12)
    options = ("--backbone", backbone, "--quiet")
    found = call("search", folder, "red hat", "-n", 3, *options, "--json").json()
    assert (found["query"], found["image"], found["n"]) == ("red hat", None, 3)
    assert [each["rank"] for each in found["results"]] == [1, 2, 3]
    scores = [each["score"] for each in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(Path(each["path"]).is_file() for each in found["results"])
    printed = call("search", folder, "red hat", "-n", 3, *options)
    assert printed.out.splitlines() == [
        f"{each['score']:.4f}\t{each['id']}" for each in found["results"]
    ]
    image = sorted(folder.rglob("*.jpg"))[4]
    like = call("search", folder, "--image", image, "-n", 1, *options, "--json").json()
    assert like["results"][0]["id"] == image.relative_to(folder).as_posix()


def test_predict_and_select_without_labels(
    call: Callable[..., Outcome], photos: Callable[..., Path], backbone: str, tmp_path: Path
) -> None:
    folder, output = photos(12), tmp_path / "predictions.csv"
    options = ("--backbone", backbone, "--quiet")
    found = call("predict", folder, "--classes", "hat, red shirt", *options, "--json").json()
    assert found["zero_shot"] is True
    assert {each["label"] for each in found["predictions"]} <= {"hat", "red shirt"}
    call("predict", folder, "--classes", "hat,red shirt", *options, "--output", output)
    rows = read_csv(output)
    assert list(rows[0]) == [
        "path", "label", "confidence", "probability_hat", "probability_red shirt", "source",
    ]  # fmt: skip
    assert {row["source"] for row in rows} == {"zero-shot"}
    strategy = "combine(similarity(text='red hat'), diversity)"
    picks = call("select", folder, "-n", 2, "--strategy", strategy, *options, "--json").json()
    assert len(picks["picks"]) == 2


WORDS = "combine(similarity(text='red hat'), diversity)"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "FOLDER"], "give either words or an image to search with."),
        (["search", "FOLDER", "hat", "--image", "x.jpg"],
         "give either words or an image to search with."),
        (["search", "FOLDER", "hat", "--backbone", "toy"],
         "the backbone 'toy' has no text tower, so its images cannot be compared with words. "),
        (["predict", "FOLDER"], "give either --model FILE or --classes NAME,NAME."),
        (["predict", "FOLDER", "--classes", "hat"], "at least two class names are needed; got 1."),
        (["search", "FOLDER", "hat\udcff"],
         "the text 'hat\\udcff' is not valid UTF-8: give it in this encoding."),
        (["predict", "FOLDER", "--classes", "hat,shoe\udcff"],
         "the text 'shoe\\udcff' is not valid UTF-8: give it in this encoding."),
        (["label", "FOLDER", "--classes", "hat,shoe", "--backbone", "toy"],
         "the backbone 'toy' has no text tower, so its images cannot be compared with words. "),
        *(([command, "FOLDER", option, WORDS, "--backbone", "toy"],
           "the backbone 'toy' has no text tower, so its images cannot be compared with words. ")
          for command, option in (("run", "--strategy"), ("run", "--initial"),
                                  ("compare", "--strategies"), ("label", "--strategy"),
                                  ("label-studio", "--initial"))),
    ],
)  # fmt: skip
def test_wrong_queries_are_refused_before_the_embedding(
    call: Callable[..., Outcome],
    photos: Callable[..., Path],
    words: list[str],
    message: str,
    tmp_path: Path,
) -> None:
    folder = photos(4)
    status, text = call(
        *(folder if word == "FOLDER" else word for word in words), "--quiet"
    ).error()
    assert status in (1, 2)
    assert text.startswith(f"embedpipe: {message}")
    assert not (tmp_path / "workspace" / "cache").exists()
