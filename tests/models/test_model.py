"""`load_model`: images of every type, the model's own backbone, and errors in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.errors import DamagedFileError, DatasetError, UsageError
from embedpipe.heads import save_head
from tests.conftest import make_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 12 photos, a turned photo, and a model of three classes."""
    folder = tmp_path_factory.mktemp("models")
    for number in range(12):
        path = folder / "photos" / f"class{number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_image(number).save(path, quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    make_image(2).save(folder / "turned.jpg", exif=exif)
    embeddings = ep.embed(folder / "photos", backbone="toy", workspace=folder / "w")
    labels = {item.id: str(item.label) for item in embeddings.items}
    ep.train(embeddings, labels, head="logistic", output=folder / "m.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> ep.Model:
    return ep.load_model(folder / "m.safetensors")


def test_it_predicts_as_the_command_does(folder: Path, model: ep.Model) -> None:
    embeddings = ep.embed(folder / "photos", backbone="toy", workspace=folder / "w")
    expected = ep.predict(embeddings, folder / "m.safetensors")
    found = model.predict([folder / "photos" / name for name in expected.ids])
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.classes.tolist() == ["class0", "class1", "class2"]
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert found.confidences.tolist() == found.probabilities.max(axis=1).tolist()
    assert len(model.predict(path for path in ())) == 0


@pytest.mark.parametrize("views", ["flip", "crops5"])
def test_views_are_those_of_the_training(folder: Path, tmp_path: Path, views: str) -> None:
    embeddings = ep.embed(folder / "photos", backbone="toy", views=views, workspace=tmp_path)
    labels = {item.id: str(item.label) for item in embeddings.items}
    ep.train(embeddings, labels, head="logistic", output=tmp_path / "m.safetensors")
    expected = ep.predict(embeddings, tmp_path / "m.safetensors")
    model = ep.load_model(tmp_path / "m.safetensors")
    found = model.predict([folder / "photos" / name for name in expected.ids])
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    with pytest.raises(UsageError, match=f"was trained with --views {views}, which cannot be"):
        ep.export_model(tmp_path / "m.safetensors", tmp_path / "out", format="torchscript")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_an_image_of_each_type_has_the_prediction_of_its_file(
    folder: Path, model: ep.Model, mode: str
) -> None:
    image = make_image(5).convert("L" if mode in ("I;16", "F") else mode)
    if mode in ("I;16", "F"):
        image = Image.fromarray(np.asarray(image).astype("uint16" if mode == "I;16" else "f4"))
    path = folder / f"{mode.replace(';', '')}.{'tif' if mode in ('CMYK', 'F') else 'png'}"
    image.save(path)
    expected = model.predict(str(path))
    for given in (path, path.read_bytes(), Image.open(path), image):
        found = model.predict(given)
        assert found.probabilities.tolist() == expected.probabilities.tolist()
        assert (found.label, found.probability) == (expected.labels[0], expected.confidences[0])
    if mode in ("L", "RGB", "RGBA"):
        found = model.predict(np.asarray(image))
        assert found.probabilities.tolist() == expected.probabilities.tolist()


def test_a_pillow_image_is_turned_as_its_file(folder: Path, model: ep.Model) -> None:
    path = folder / "turned.jpg"
    upright = Image.open(path).transpose(Image.Transpose.ROTATE_270)
    found = model.predict([path, Image.open(path), np.asarray(upright)]).probabilities
    assert found[0].tolist() == found[1].tolist() == found[2].tolist()
    batch = np.stack([np.asarray(make_image(n)) for n in range(40)])
    alone = [model.predict(image).probabilities[0] for image in batch]
    np.testing.assert_allclose(model.predict(batch).probabilities, alone, atol=1e-6)


def test_results_describe_themselves(folder: Path, model: ep.Model) -> None:
    found = model.predict([make_image(n) for n in range(3)])
    assert [one.label for one in found] == found.labels.tolist()
    assert repr(found) == "ImagePredictions(3 images, 3 classes)"
    assert repr(found[1]) == f"ImagePredictions('{found.labels[1]}', {found.confidences[1]:.4f})"
    assert "Predictions for 3 images" in found._repr_html_()
    assert repr(model) == f"TrainedModel('{folder / 'm.safetensors'}', 3 classes)"
    with pytest.raises(UsageError) as caught:
        _ = found.label
    assert str(caught.value) == (
        "these are the predictions of 3 images: use `labels` and `confidences`, or an index such "
        "as `predictions[0].label`."
    )


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (3, UsageError, "image 0 is a int; expected a path, bytes, a Pillow image or a uint8 "
         "array."),
        ([make_image(1), 3.0], UsageError, "image 1 is a float; expected a path, bytes, a Pillow "
         "image or a uint8 array."),
        (np.zeros((4, 4, 3)), UsageError, "image 0 is an array of float64 with the shape "
         "(4, 4, 3); expected uint8 and (height, width), (height, width, 3) or (height, width, "
         "4)."),
        (b"no image", DatasetError, "`image 0` is not an image in a supported format."),
        ("./none.jpg", DatasetError, "`./none.jpg` cannot be read (No such file or directory)."),
    ],
    ids=["number", "list", "floats", "text", "missing"],
)  # fmt: skip
def test_other_values_are_one_line(
    model: ep.Model, image: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        model.predict(image)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_folder_is_no_image(folder: Path, model: ep.Model) -> None:
    with pytest.raises(UsageError) as caught:
        model.predict(folder)
    assert str(caught.value) == (
        f"'{folder}' is a folder: give image files, or use `embedpipe predict` for a folder."
    )


def test_the_backbone_of_the_training_is_used(folder: Path, tmp_path: Path) -> None:
    path = folder / "m.safetensors"
    with pytest.raises(UsageError, match="was trained with another backbone or precision"):
        ep.load_model(path, backbone="efficientnet_lite0")
    head, metadata = ep.load_head(path)
    assert metadata["embed"]["backbone"] == "toy"
    older = {name: value for name, value in metadata.items() if name != "embed"}
    save_head(head, tmp_path / "older", metadata=older)
    found = ep.load_model(tmp_path / "older", backbone="toy").predict(make_image(1))
    assert found.label == ep.load_model(path).predict(make_image(1)).label
    save_head(head, tmp_path / "imported", metadata={**metadata, "embed": None})
    save_head(head, tmp_path / "alone")
    for name, kind, message in (
        ("imported", UsageError, "was trained on imported vectors, whose backbone is unknown: it "
         "cannot predict images. Use `embedpipe predict` with --vectors."),
        ("alone", DamagedFileError, "contains a head without the spec of its embeddings. Train "
         "the model with `embedpipe train` or `ep.train`."),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            ep.load_model(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} {message}"


def test_a_damaged_pillow_image_is_one_line(folder: Path, model: ep.Model) -> None:
    file = io.BytesIO()
    make_image(1, (200, 200)).save(file, "JPEG")
    damaged = Image.open(io.BytesIO(file.getvalue()[:900]))
    with pytest.raises(DatasetError, match=r"^image 0 cannot be used as an image: .*truncated"):
        model.predict(damaged)
