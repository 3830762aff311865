"""Precision and runtime of new vectors, and `require_cached`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe.backbones import resolve_precision, runtimes
from embedpipe.errors import BackboneError, DriftError, NotCachedError, UsageError

HERE = resolve_precision("auto")
OTHER = "fp32" if HERE == "bf16" else "bf16"


@pytest.fixture
def embed(tmp_path: Path) -> Callable[..., ep.Embeddings]:
    """Return a function that embeds with the toy backbone in one workspace."""

    def run(what: object, **options: object) -> ep.Embeddings:
        options = {"backbone": "toy", "workspace": tmp_path / "workspace", **options}
        return ep.embed(what, **options)  # type: ignore[arg-type]

    return run


def test_the_precision_of_a_datasets_vectors_is_kept(embed, photos):
    folder = photos(6)
    first = embed(folder, precision=OTHER)
    again = embed(folder)
    assert (again.spec, again.report.embedded) == (first.spec, 0)
    assert again.report.notes == (
        f"precision {OTHER}, from the vectors of this dataset in the cache; --precision {HERE} "
        "computes other vectors",
    )
    grown = embed(photos(9))  # it is the same folder, and has three more
    assert (grown.spec, grown.report.embedded) == (first.spec, 3)
    asked = embed(folder, precision=HERE)
    assert (asked.spec.precision, asked.report.embedded, asked.report.notes) == (HERE, 9, ())
    assert embed(folder).spec == asked.spec  # equal numbers: the precision of this machine


def test_new_datasets_get_this_machines_precision(embed, photos, tmp_path):
    embed(photos(6), precision=OTHER)
    other = tmp_path / "other"
    other.mkdir()
    for number in range(3):
        content = (tmp_path / "photos" / "class0" / "0000.jpg").read_bytes()
        (other / f"{number}.jpg").write_bytes(content + bytes([number]))
    found = embed(other)
    assert (found.spec.precision, found.report.embedded, found.report.notes) == (HERE, 3, ())
    unlike = embed(photos(6), scaled_decode=True)  # another preprocessing has no vectors
    assert (unlike.spec.precision, unlike.report.embedded) == (HERE, 6)


def test_predict_embeds_in_the_precision_of_the_model(embed, photos, tmp_path):
    from embedpipe.models import ModelFile

    trained = embed(photos(6), precision=OTHER)
    labels = {"class0/0000.jpg": "a", "class1/0001.jpg": "b"}
    ep.train(trained, labels, output=tmp_path / "head.safetensors")
    options = ep.EmbedOptions(backbone="toy")
    file = ModelFile.read(tmp_path / "head.safetensors")
    found = file.embed_options(options)
    assert (found.precision, options.precision) == (OTHER, "auto")
    with pytest.raises(UsageError, match="was trained with another backbone or precision"):
        file.embed_options(ep.EmbedOptions(backbone="toy", precision=HERE))


class Recorder(ep.ToyBackbone):
    """The toy backbone as if in a runtime, with a record of the requested runtimes."""

    def __init__(self, runtime: str, scale: float = 1.0) -> None:
        self.runtime, self.scale, self.asked = runtime, scale, []

    def open(self, *, precision: str, runtime: str, batch_size: int) -> object:  # type: ignore[override]
        self.asked.append(runtime)
        encoder = super().open(precision=precision, runtime=runtime, batch_size=batch_size)
        encoder.provenance = {"runtime": f"{self.runtime} 1.2"}
        plain = encoder.encode
        encoder.encode = lambda pixels: plain(pixels) * self.scale  # type: ignore[method-assign]
        return encoder


@pytest.mark.parametrize(
    ("precision", "made_by", "later"),
    [("bf16", "torch", "torch"), ("bf16", "openvino", "openvino"), ("bf16", "numpy", "auto"),
     ("fp32", "torch", "auto")],
)  # fmt: skip
def test_bf16_vectors_use_the_runtime_of_the_first(embed, photos, precision, made_by, later):
    if made_by == "openvino":
        pytest.importorskip("openvino", exc_type=ImportError)
    backbone = Recorder(made_by)
    embed(photos(4), backbone=backbone, precision=precision)
    embed(photos(6), backbone=backbone, precision=precision)
    embed(photos(8), backbone=backbone, precision=precision, runtime="torch")
    assert backbone.asked == ["auto", later, "torch"]


def test_a_missing_runtime_is_an_error(embed, photos, monkeypatch):
    embed(photos(4), backbone=Recorder("openvino"), precision="bf16")
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    assert len(embed(photos(4), backbone=Recorder("torch"), precision="bf16")) == 4  # none is new
    with pytest.raises(BackboneError) as caught:
        embed(photos(6), backbone=Recorder("torch"), precision="bf16")
    assert str(caught.value).startswith("the bf16 vectors in ")
    assert str(caught.value).endswith(
        " were computed by openvino, which is not installed. Vectors of another runtime differ "
        "too much: `pip install 'embedpipe[openvino]'`, or use --precision fp32."
    )
    # Asked for by name, another runtime is compared by the canary.
    with pytest.raises(DriftError, match=r"differ by 0\.06 of their length .* --precision fp32"):
        embed(photos(6), backbone=Recorder("torch", 1.06), precision="bf16", runtime="torch")
    assert embed(photos(6), backbone=Recorder("openvino"), precision="fp32").report.embedded == 6


def test_require_cached_embeds_no_image(embed, photos, tmp_path):
    folder = photos(4)
    with pytest.raises(NotCachedError) as caught:
        embed(folder, require_cached=True)
    assert "4 of the 4 images" in str(caught.value)
    assert not list((tmp_path / "workspace").glob("cache/*"))
    embed(folder)
    assert embed(folder, require_cached=True).report.reused == 4
    (folder / "class0" / "copy.jpg").write_bytes((folder / "class0" / "0000.jpg").read_bytes())
    assert embed(folder, require_cached=True).report.reused == 5  # a copy has its vector
    (folder / "broken.jpg").write_bytes(b"no image")
    new = photos(6)
    (folder / "class0" / "again.jpg").write_bytes((new / "class1" / "0004.jpg").read_bytes())
    with pytest.raises(NotCachedError) as caught:
        embed(folder, require_cached=True)
    name = ep.load_dataset(str(folder)).name
    assert str(caught.value).startswith(f"4 of the 9 images of '{name}' have no vector of spec ")
    assert str(caught.value).endswith(
        "Run `embedpipe embed` with the same options, or leave out --require-cached."
    )
    embed(folder)
    found = embed(folder, require_cached=True)  # what failed before is not asked for again
    assert (len(found), len(found.failures)) == (8, 1)
