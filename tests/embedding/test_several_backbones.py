"""Several backbones in one pass, combined matrices, and views of an image."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.backbones import Backbone, Preprocess, backbones, get_backbone, preprocess, register
from embedpipe.cache import Spec, Store, collect_garbage, drop_spec, find_spec, list_specs, verify
from embedpipe.datasets import load_dataset
from embedpipe.embedding import Embeddings, EmbedOptions, filling
from embedpipe.embedding.embed import embed_each
from embedpipe.embedding.image_encoder import ImageEncoder
from embedpipe.errors import NotCachedError, UsageError


class Rows(Backbone):
    """The mean colour of each row of an image, with its own input size."""

    preprocess = Preprocess((24, 16), 40, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    dim = 24 * 3
    weights_sha256 = hashlib.sha256(b"").hexdigest()

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(pixels.mean(axis=2, dtype=np.float64).reshape(len(pixels), -1))


class Left(Rows):
    """The colours of the left half; the mirror image has another vector. The input is squashed."""

    preprocess = Preprocess((8, 8), (8, 8), "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    dim = 8 * 4 * 3

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[:, :, :4].reshape(len(pixels), -1) / 7


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "_entries", dict(backbones._entries))
    register("rows")(Rows)
    register("left")(Left)


@pytest.fixture
def embed(tmp_path: Path) -> Callable[..., Embeddings]:
    def run(path: Path, backbone: str, **options: Any) -> Embeddings:
        return ep.embed(path, backbone=backbone, **{"workspace": tmp_path / "w", **options})

    return run


@pytest.fixture
def embed_all(tmp_path: Path) -> Callable[..., list[Embeddings]]:
    def run(path: Path, backbone: str, **options: Any) -> list[Embeddings]:
        workspace = Workspace(options.pop("workspace", tmp_path / "w"))
        return embed_each(load_dataset(str(path)), workspace, EmbedOptions(backbone, **options))

    return run


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that have been decoded, without the canary's images."""
    files, real = [], preprocess.decoded

    def counted(data: bytes, *arguments: Any, **options: Any) -> Any:
        if not data.startswith(b"P6"):
            files.append(data)
        return real(data, *arguments, **options)

    monkeypatch.setattr(preprocess, "decoded", counted)
    return files


def counts(embeddings: Embeddings) -> tuple[int, int, int]:
    report = embeddings.report
    assert report.items == report.embedded + report.reused + report.failed
    return report.embedded, report.reused, report.failed


def test_one_pass_gives_the_vectors_of_separate_runs(photos, embed, embed_all, decoded, tmp_path):
    folder = photos(50)
    (folder / "class0" / "bad.jpg").write_bytes(b"no image")
    found = embed_all(folder, "toy,rows,left")
    assert len(decoded) == 51
    assert [counts(each) for each in found] == [(50, 0, 1)] * 3
    for name, each in zip(("toy", "rows", "left"), found, strict=True):
        alone = embed(folder, name, workspace=tmp_path / name)
        assert (each.spec, each.items) == (alone.spec, alone.items)
        assert each.matrix.tobytes() == alone.matrix.tobytes()
        assert each.failures == alone.failures
        assert each.options.backbone == name
    decoded.clear()
    assert [counts(each) for each in embed_all(folder, "left,rows,toy")] == [(0, 50, 1)] * 3
    assert decoded == []


def test_only_what_each_backbone_lacks_is_computed(photos, embed, embed_all, decoded):
    embed(photos(8), "toy")
    embed(photos(4, name="few"), "rows")
    folder = photos(12)
    decoded.clear()
    toy, rows = embed_all(folder, "toy,rows")
    assert (counts(toy), counts(rows)) == ((4, 8, 0), (8, 4, 0))
    assert len(decoded) == 8
    assert toy.report.profile.images == 8
    assert len(Store(Workspace(toy.folder.parents[2]), toy.spec).content_ids()) == 12


def test_groups_of_images_fill_the_batches_of_all_backbones() -> None:
    assert filling._group_size([16]) == 16
    assert filling._group_size([16, 11]) == 32  # 2 batches of 16, and 3 of 11
    assert filling._group_size([128, 128]) == 128


def test_a_vector_may_fail_in_one_backbone_only(photos, embed, embed_all, monkeypatch):
    def encode(self: Rows, pixels: np.ndarray) -> np.ndarray:
        vectors = plain(self, pixels)
        vectors[np.isclose(vectors, target).all(axis=1)] = np.nan
        return vectors

    folder, plain = photos(6), Rows.encode
    target = embed(folder, "rows", workspace=folder.parent / "other").matrix[2]
    monkeypatch.setattr(Rows, "encode", encode)
    toy, rows, both = embed_all(folder, "toy,rows,toy+rows")
    assert (counts(toy), counts(rows), counts(both)) == ((6, 0, 0), (5, 0, 1), (5, 0, 1))
    assert [item.id for item in both.items] == [item.id for item in rows.items]
    assert both.failures == rows.failures
    assert both.failures[0].stage == "encode"
    assert toy.report.profile is not None
    assert toy.report.profile.images == 5  # without the failed image


def test_a_lost_file_is_read_from_its_other_copy(photos, embed_all, monkeypatch):
    folder = photos(6)
    shutil.copy(folder / "class0" / "0000.jpg", folder / "class2" / "copy.jpg")
    dataset = load_dataset(str(folder))
    read, source = [], dataset.source
    real = type(source).read

    def losing(self: Any, ids: list[str]) -> Any:
        read.append(list(ids))
        for item_id, content in real(self, ids):
            yield item_id, OSError("lost") if item_id == "class0/0000.jpg" and read[1:] else content

    monkeypatch.setattr(type(source), "read", losing)
    found = embed_each(dataset, Workspace(folder.parent / "w"), EmbedOptions("toy,rows"))
    assert [counts(each) for each in found] == [(6, 1, 0)] * 2
    assert read[2] == ["class2/copy.jpg"]


def test_a_killed_pass_continues_with_what_each_store_lacks(
    photos, embed, embed_all, decoded, tmp_path, monkeypatch
):
    folder = photos(12)
    monkeypatch.setattr(filling, "FRAGMENT_ROWS", 4)
    monkeypatch.setattr(filling, "BATCH_SIZE", 4)
    monkeypatch.setattr(filling, "available_cpus", lambda: 1)
    real, added = Store.add, []

    def failing(store: Store, *arguments: Any) -> Any:
        if len(added) == 3:
            raise SystemExit  # as if killed between the stores
        added.append(store.spec.id)
        return real(store, *arguments)

    monkeypatch.setattr(Store, "add", failing)
    with pytest.raises(SystemExit):
        embed_all(folder, "toy,rows")
    monkeypatch.setattr(Store, "add", real)
    decoded.clear()
    toy, rows = embed_all(folder, "toy,rows")
    assert (counts(toy), counts(rows)) == ((4, 8, 0), (8, 4, 0))
    assert len(decoded) == 8
    fresh = embed_all(folder, "toy,rows", workspace=tmp_path / "fresh")
    for each, expected in zip((toy, rows), fresh, strict=True):
        assert each.matrix.tobytes() == expected.matrix.tobytes()


def unit(matrix: np.ndarray) -> np.ndarray:
    wide = np.asarray(matrix, np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)


def test_a_combined_matrix_joins_rows_of_length_one(photos, embed, decoded, tmp_path):
    folder = photos(12)
    first = embed(folder, "toy")
    decoded.clear()
    both = embed(folder, "toy+rows")
    assert len(decoded) == 12
    assert counts(both) == (12, 0, 0)
    second = embed(folder, "rows")
    expected = np.hstack([unit(first.matrix), unit(second.matrix)])
    assert both.matrix.dtype == np.float32
    np.testing.assert_allclose(both.matrix, expected, rtol=1e-6)
    assert both.spec.parts == (first.spec, second.spec)
    assert both.spec.id == Spec.from_json(both.spec.to_json()).id
    assert both.spec.dim == 48 + 72
    assert both.spec.backbone["architecture"] == "toy+rows"
    again = embed(folder, "toy+rows")
    assert counts(again) == (0, 12, 0)
    assert again.folder == both.folder
    elsewhere = embed(folder, "toy+rows", workspace=tmp_path / "elsewhere")
    assert elsewhere.matrix.tobytes() == both.matrix.tobytes()
    assert embed(folder, "rows+toy").spec.id != both.spec.id


def test_picks_and_models_of_a_combination(photos, embed, tmp_path):
    folder = photos(30)
    both = embed(folder, "toy+rows")
    joined = np.array(both.matrix)
    labels = {item.id: item.id.partition("/")[0] for item in both.items[:12]}
    rows = np.arange(12)
    for strategy in ("coreset", "margin", "typiclust"):
        picks = ep.select(both, n=5, strategy=strategy, labels=labels, seed=3)
        plain = ep.select(
            joined, n=5, strategy=strategy, labelled=rows, labels=list(labels.values()), seed=3
        )
        assert picks.rows.tolist() == plain.rows.tolist()
    model = tmp_path / "model.safetensors"
    ep.train(both, labels, output=model)
    others = photos(7, name="others")
    found = ep.predict(embed(others, "toy+rows"), model)
    assert len(found.ids) == 7
    with pytest.raises(UsageError, match="was trained with another backbone"):
        ep.predict(embed(others, "toy"), model)


def test_new_images_extend_a_combined_matrix(photos, embed, decoded):
    old = embed(photos(8), "toy+rows")
    decoded.clear()
    new = embed(photos(12), "toy+rows")
    assert len(decoded) == 4
    assert counts(new) == (4, 8, 0)
    row_of = {item.id: row for row, item in enumerate(new.items)}
    kept = [row_of[item.id] for item in old.items]
    assert new.matrix[kept].tobytes() == old.matrix.tobytes()
    assert (new.folder / "earlier-rows.npy").exists()


def test_an_image_outside_the_dataset_has_the_same_vector(photos, embed, tmp_path):
    folder = photos(6)
    both = embed(folder, "toy+rows", views="flip")
    encoder = ImageEncoder(both, Workspace(tmp_path / "w"))
    image = encoder.encode((folder / both.items[4].id).read_bytes())
    np.testing.assert_array_equal(image.vector, both.matrix[4])
    with Image.open(folder / both.items[4].id) as original:
        assert (image.width, image.height) == original.size


def test_cache_commands_know_combinations(photos, embed, tmp_path):
    folder, workspace = photos(8), Workspace(tmp_path / "w")
    embed(photos(4, name="few"), "toy")
    both = embed(folder, "toy+rows")
    listed = {spec["spec_id"]: spec for spec in list_specs(workspace)}
    row = listed[both.spec.id]
    assert (row["backbone"], row["rows"], row["dim"], row["fragments"], row["failed"]) == (
        "combined:toy+rows", 8, 120, 0, 0,
    )  # fmt: skip
    assert sorted(spec["rows"] for spec in listed.values()) == [8, 8, 8]
    assert verify(workspace) == []
    kept = both.folder
    del both
    assert collect_garbage(workspace) == []
    (folder / "class0" / "0000.jpg").unlink()
    embed(folder, "toy")  # the scan memory has fewer items now
    assert [problem.path for problem in collect_garbage(workspace)] != []
    assert not kept.exists()
    both = embed(folder, "toy+rows")
    assert counts(both) == (0, 7, 0)
    spec_id = both.spec.id
    both.folder.joinpath("embeddings.npy").chmod(0o644)
    del both
    found = find_spec(workspace, spec_id)
    assert found.backbone == "combined:toy+rows"
    drop_spec(workspace, found)
    assert spec_id not in {spec["spec_id"] for spec in list_specs(workspace)}
    assert counts(embed(folder, "toy+rows")) == (0, 7, 0)


def test_a_combination_needs_each_part(photos, embed):
    folder = photos(5)
    embed(folder, "toy")
    with pytest.raises(NotCachedError) as caught:
        embed(folder, "toy+rows", require_cached=True)
    assert str(caught.value).startswith("5 of the 5 images of ")
    embed(folder, "rows")
    assert counts(embed(folder, "toy+rows", require_cached=True)) == (0, 5, 0)


def test_the_parts_of_a_combination_have_one_precision(photos, embed):
    folder = photos(6)
    here = embed(folder, "toy", workspace=folder.parent / "here").spec.precision
    other = {"fp32": "bf16", "bf16": "fp32"}[here]
    embed(folder, "rows", precision=other)
    both = embed(folder, "toy+rows")
    assert [part.precision for part in both.spec.parts] == [other, other]
    assert both.report.notes == (
        f"precision {other}, from the vectors of this dataset in the cache; --precision {here} "
        "computes other vectors",
    )


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ("toy+", {}, "--backbone toy+: give a name before and after each '+'."),
        ("toy+toy", {}, "--backbone toy+toy: toy is repeated. Give each backbone once."),
        ("toy,rows", {}, "--backbone toy,rows: only `embedpipe embed` takes several backbones. "
         "Give one of them, or toy+rows for a combination of their vectors."),
        ("toy+rows", {"weights": "x.pth"}, "--backbone toy+rows: --weights is for one backbone. "
         "Leave one of the options out."),
        ("toy+rows", {"executor": "ray"}, "--executor ray embeds one backbone at a time; "
         "--backbone toy+rows has 2. Run the command for each."),
        ("toy+imported:mine", {}, "--backbone toy+imported:mine: imported vectors cannot be "
         "combined with others. Give one name."),
        ("imported:mine+toy", {}, "--backbone imported:mine+toy: imported vectors cannot be "
         "combined with others. Give one name."),
        ("toy", {"views": "mirror"}, "unknown views 'mirror': use none, flip or crops5."),
        ("left", {"views": "crops5"}, "--views crops5 needs a backbone that crops: this one "
         "resizes the whole image to its input, so all five crops are equal. Use --views flip."),
    ],
)  # fmt: skip
def test_wrong_options_are_errors(photos, embed, backbone, options, message):
    with pytest.raises(UsageError) as caught:
        embed(photos(2), backbone, **options)
    assert str(caught.value) == message


def crops_of(image: Image.Image, views: str) -> list[np.ndarray]:
    """Return the views for `Rows` as torchvision's FiveCrop and a horizontal flip define them."""
    from torchvision.transforms import CenterCrop, FiveCrop

    width, height = image.size
    short = 40
    size = (short, int(short * height / width)) if width <= height else (
        int(short * width / height), short,
    )  # fmt: skip
    resized = image.resize(size, Image.Resampling.BICUBIC)
    if views == "flip":
        centre = CenterCrop((24, 16))(resized)
        crops = [centre, centre.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    else:
        crops = list(FiveCrop((24, 16))(resized))
    return [np.asarray(crop) for crop in crops]


@pytest.mark.parametrize("views", ["flip", "crops5"])
@pytest.mark.parametrize("backbone", ["rows", "left", "toy"])
def test_views_are_averaged(photos, embed, views, backbone):
    if (backbone, views) == ("left", "crops5"):
        return
    folder = photos(5)
    plain, found = embed(folder, backbone), embed(folder, backbone, views=views)
    assert found.spec.preprocess == plain.spec.preprocess | {"views": views}
    assert "views" not in plain.spec.preprocess
    if backbone != "rows":
        assert not np.allclose(found.matrix, plain.matrix)
        return
    encoder = Rows()
    for item, row in zip(found.items, found.matrix, strict=True):
        with Image.open(folder / item.id) as image:
            crops = np.stack(crops_of(image.convert("RGB"), views))
        np.testing.assert_allclose(row, encoder.encode(crops).mean(axis=0), rtol=1e-6)


def test_views_of_a_network_in_batches(photos, embed, tmp_path):
    """The bundled backbone pads batches. An image and its mirror image have the same mean."""
    folder, mirrored = photos(3), tmp_path / "mirrored"
    mirrored.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        with Image.open(path) as image:
            square = image.resize((256, 256))
            square.save(path.with_suffix(".png"))
            square.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored / f"{number}.png")
        path.unlink()
    options = {"precision": "fp32", "views": "flip"}
    one = embed(folder, "efficientnet_lite0", **options)
    other = embed(mirrored, "efficientnet_lite0", **options)
    order = np.argsort([item.id.partition("/")[2] for item in one.items])
    np.testing.assert_allclose(one.matrix[order], other.matrix, atol=1e-4)
    plain = embed(folder, "efficientnet_lite0", precision="fp32")
    turned = embed(mirrored, "efficientnet_lite0", precision="fp32")
    expected = (plain.matrix[order] + turned.matrix) / 2
    np.testing.assert_allclose(one.matrix[order], expected, atol=1e-4)


def test_reduced_decoding_is_that_of_each_backbone(embed, embed_all, decoded, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (320, 330, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((660, 640)).save(folder / "a.jpg", quality=90)
    found = embed_all(folder, "toy,rows", scaled_decode=True)
    assert len(decoded) == 2  # toy needs 64 pixels, rows 80
    for name, each in zip(("toy", "rows"), found, strict=True):
        alone = embed(folder, name, scaled_decode=True, workspace=tmp_path / name)
        assert each.matrix.tobytes() == alone.matrix.tobytes()


def test_decode_each_returns_an_error_for_one_preprocessing(monkeypatch):
    wide = io.BytesIO()
    Image.new("RGB", (900, 2), "teal").save(wide, "PNG")
    monkeypatch.setattr(preprocess, "LARGEST", 100_000)
    rules = [get_backbone("toy").preprocess, get_backbone("left").preprocess]
    error, fine = preprocess.decode_each(wide.getvalue(), rules)
    assert str(error) == "it has 900 x 2 pixels, too narrow for resizing. Crop the image"
    assert (fine.width, fine.height, fine.pixels.shape) == (900, 2, (8, 8, 3))
