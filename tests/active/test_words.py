"""Search and predictions by words, against a plain script of open_clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import embedpipe as ep
from embedpipe.backbones.text_tower import OpenClipText
from embedpipe.embedding.texts import PROMPTS
from tests.colour_words import ColourWords
from tests.open_clip_models import save_open_clip

open_clip = pytest.importorskip("open_clip", exc_type=ModuleNotFoundError)

CLASSES = ["red_hat", "shirt", "two shoes"]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def tower(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """Embeddings of 30 noisy images by a model of random weights, and the same by open_clip."""
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(30):
        pixels = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((90, 80), Image.Resampling.BICUBIC)
        image.save(folder / "photos" / f"{number:02d}.png")
    name = save_open_clip(folder / "model", request.param)
    workspace = folder / "workspace"
    embeddings = ep.embed(
        str(folder / "photos"), backbone=name, workspace=workspace, precision="fp32"
    )
    place = name.removeprefix("openclip:")
    model, transform = open_clip.create_model_from_pretrained(place)
    model.eval()
    tokens = open_clip.get_tokenizer(place)

    def encode_text(texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(model.encode_text(tokens(texts), normalize=True).numpy())

    def encode_image(path: Path) -> np.ndarray:
        with Image.open(path) as image, torch.inference_mode():
            return np.asarray(model.encode_image(transform(image)[None], normalize=True)[0])

    files = [folder / "photos" / item.id for item in embeddings.items]
    images = np.stack([encode_image(path) for path in files])
    yield embeddings, folder, images, encode_text, float(model.logit_scale.detach().exp())


@pytest.mark.parametrize("text", ["red hat", "a photo of two shoes on a table", "Größe 38"])
def test_the_order_is_that_of_a_plain_script(tower: tuple[Any, ...], text: str) -> None:
    embeddings, folder, images, encode_text, _ = tower
    cosines = images @ encode_text([text])[0]
    found = ep.search(embeddings, text, n=30, workspace=folder / "workspace")
    assert found.rows.tolist() == np.argsort(-cosines, kind="stable").tolist()
    np.testing.assert_allclose(found.scores, cosines[found.rows], atol=1e-4)


def test_an_image_finds_itself_first(tower: tuple[Any, ...], tmp_path: Path) -> None:
    embeddings, folder, images, _, _ = tower
    found = ep.search(embeddings, image=folder / "photos" / "07.png", n=5, workspace=tmp_path)
    assert found.rows.tolist() == np.argsort(-(images @ images[7]), kind="stable")[:5].tolist()
    assert found.rows[0] == 7
    assert not any(tmp_path.rglob("*.parquet"))  # nothing is stored


def test_zero_shot_probabilities_are_those_of_a_plain_script(tower: tuple[Any, ...]) -> None:
    embeddings, folder, images, encode_text, scale = tower
    means = []
    for name in ["red hat", *CLASSES[1:]]:
        mean = encode_text([prompt.format(name) for prompt in PROMPTS]).mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
    logits = scale * images @ np.stack(means).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    prior = ep.zero_shot_prior(embeddings, CLASSES, workspace=folder / "workspace")
    found = ep.predict(embeddings, prior)
    assert found.classes.tolist() == CLASSES
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)


def test_vectors_of_texts_are_stored_without_the_texts(
    tower: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = tower[0]
    first = ep.text_vectors(embeddings, ["secret words", "hat"], workspace=tmp_path)
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert contents
    assert not any(b"secret" in content for content in contents)

    def encode(*_: object) -> None:
        raise AssertionError("the vector is stored")

    monkeypatch.setattr(OpenClipText, "encode", encode)
    again = ep.text_vectors(embeddings, ["hat", "secret words"], workspace=tmp_path)
    assert all(np.array_equal(again[text], first[text]) for text in first)
    with pytest.raises(AssertionError):
        ep.text_vectors(embeddings, ["Hat"], workspace=tmp_path)
    assert ep.verify(ep.Workspace(tmp_path)) == []
    (spec,) = ep.list_specs(ep.Workspace(tmp_path))
    assert spec["backbone"].endswith(" (texts)")
    assert spec["rows"] == 2


def colours(tmp_path: Path) -> ep.Embeddings:
    """Embeddings of nine photos in three colours, in this order of the files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(9):
        colour = tuple(220 if part == number % 3 else 20 + number for part in range(3))
        Image.new("RGB", (40, 30), colour).save(folder / f"{number}.png")
    return ep.embed(str(folder), backbone=ColourWords(), workspace=tmp_path / "workspace")


def test_words_select_images(tmp_path: Path) -> None:
    embeddings = colours(tmp_path)
    texts = ep.text_vectors(embeddings, ["something blue"], workspace=tmp_path / "workspace")
    strategy = "combine(similarity(text='something blue'))"
    picks = ep.select(embeddings, 3, strategy, texts=texts)
    assert sorted(picks.rows.tolist()) == [2, 5, 8]
    assert ep.format_spec(ep.get_strategy(strategy)) == 'combine(similarity(text="something blue"))'
    only = "combine(diversity, threshold(similarity(text='something blue') >= 0.9))"
    assert set(ep.select(embeddings, 2, only, texts=texts).rows) <= {2, 5, 8}
    with pytest.raises(ep.errors.SelectionError) as missing:
        ep.select(embeddings, 3, strategy)
    assert str(missing.value) == (
        "similarity needs the vector of the text 'something blue': give the pool `texts`."
    )
    with pytest.raises(ep.errors.UsageError) as blank:
        ep.get_strategy("combine(similarity(text=' '))")
    assert str(blank.value) == (
        "the text of similarity is ' ': give at least one word in quotes, as in "
        "similarity(text='red hat')."
    )


def test_loops_and_experiments_search_by_words(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / "photos" / ("dark" if number % 2 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        colour = tuple(220 if part == number % 3 else 20 + number for part in range(3))
        Image.new("RGB", (40, 30), colour).save(folder / f"{number}.png")
    workspace = tmp_path / "workspace"
    embeddings = ep.embed(str(tmp_path / "photos"), backbone=ColourWords(), workspace=workspace)
    strategy = "combine(similarity(text='something blue'))"
    options = {"strategy": strategy, "initial": strategy, "initial_size": 3, "batch_size": 2}
    loop = ep.ActiveLoop(embeddings, workspace=workspace, head="logistic", **options)
    first, second = loop.run(rounds=1)
    numbers = [int(Path(embeddings.items[row].id).stem) % 3 for row in (*first.rows, *second.rows)]
    assert numbers == [2] * 5

    def compared(workers: int) -> list[tuple[Any, ...]]:
        experiment = ep.Experiment(
            embeddings,
            workspace=tmp_path / f"workspace-{workers}",
            strategies=[strategy],
            initials=[strategy],
            heads=["logistic"],
            rounds=1,
            seeds=2,
            initial_size=3,
            batch_size=2,
        )
        results = experiment.run(workers=workers)
        assert not results.failures
        rows = results.table.to_pylist()
        return [(row["strategy"], row["seed"], row["round"], row["accuracy"]) for row in rows]

    assert compared(0) == compared(1)
    with ep.LabelLog(workspace / "labels.sqlite") as log:
        texts = ep.text_vectors(embeddings, ["something blue"], workspace=workspace)
        session = ep.LabellingSession(embeddings, log, initial=strategy, texts=texts)
        rows = [proposal.row for proposal in session.propose(4)]
    assert [int(Path(embeddings.items[row].id).stem) % 3 for row in rows] == [2] * 4


def test_errors_of_words(tmp_path: Path) -> None:
    embeddings, place = colours(tmp_path), tmp_path / "workspace"
    plain = ep.embed(str(tmp_path / "photos"), backbone="toy", workspace=place)
    errors: list[tuple[Any, str]] = [
        (lambda: ep.search(embeddings, " ", workspace=place),
         "the text is blank: give at least one word."),
        (lambda: ep.search(embeddings, "hat", n=0, workspace=place),
         "n is 0: give a whole number, at least 1."),
        (lambda: ep.search(embeddings, workspace=place),
         "give either words or an image to search with."),
        (lambda: ep.search(embeddings, image=tmp_path / "none.jpg", workspace=place),
         f"cannot read the image {tmp_path / 'none.jpg'}: No such file or directory."),
        (lambda: ep.search(plain, "hat", workspace=place),
         "the backbone 'toy' has no text tower, so its images cannot be compared with words. "
         "Backbones with one: "),
        (lambda: ep.zero_shot_prior(embeddings, ["hat"], workspace=place),
         "at least two class names are needed; got 1."),
        (lambda: ep.zero_shot_prior(embeddings, ["hat", " "], workspace=place),
         "the name of a class is blank: give at least one word."),
        (lambda: ep.zero_shot_prior(embeddings, ["hat", "hat"], workspace=place),
         "the class 'hat' is given twice: give it once."),
    ]  # fmt: skip
    for act, message in errors:
        with pytest.raises(ep.errors.EmbedpipeError) as caught:
            act()
        assert str(caught.value).startswith(message)
    (tmp_path / "text.jpg").write_bytes(b"no image")
    with pytest.raises(ep.errors.DatasetError):
        ep.search(embeddings, image=tmp_path / "text.jpg", workspace=place)


def test_a_model_of_names_and_labels(tmp_path: Path) -> None:
    embeddings, place = colours(tmp_path), tmp_path / "workspace"
    prior = ep.zero_shot_prior(embeddings, ["red", "green", "blue"], workspace=place)
    assert ep.predict(embeddings, prior).labels.tolist() == ["red", "green", "blue"] * 3
    labels = {"0.png": "red", "1.png": "green", "3.png": "red", "4.png": "green"}
    head, _ = ep.train(embeddings, labels, prior=prior)
    assert head.predict(embeddings.matrix).tolist() == ["red", "green", "blue"] * 3
    assert "; the names of the classes help (weight" in head.choice_
