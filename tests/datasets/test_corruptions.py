"""Corrupted variants: their pixels, their determinism, their items."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import embedpipe as ep
from embedpipe.datasets import Dataset, Item, corrupted, load_dataset
from embedpipe.datasets.corruptions import CorruptedSource, corruption_kinds
from embedpipe.datasets.source import FolderSource
from embedpipe.errors import UnknownNameError, UsageError

KINDS = ["gaussian_noise", "blur", "brightness", "contrast", "jpeg"]
DEFAULT = [f"{kind}-{severity}" for kind in KINDS for severity in (1, 3, 5)]


def shown(content):
    """Return the pixels of an image file, (height, width, 3) float64."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


@pytest.fixture
def detailed(tmp_path):
    """Return a dataset of images with detail at every scale."""

    def make(count):
        folder = tmp_path / "detailed"
        folder.mkdir()
        rng = np.random.default_rng(5)
        for number in range(count):
            layers = [
                Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).resize((64, 48))
                for side in (2, 6, 18, 54)
            ]
            mixed = np.mean([np.asarray(layer) for layer in layers], axis=0)
            image = Image.fromarray(np.rint(mixed).astype(np.uint8))
            image.save(folder / f"{number:02d}.jpg", quality=95)
        return load_dataset(folder)

    return make


@pytest.fixture
def one(tmp_path):
    """Return the source of all variants of one image, `a.png`."""

    def make(image, name="a.png", **options):
        folder = tmp_path / "one"
        folder.mkdir(exist_ok=True)
        image.save(folder / name, **options)
        return corrupted(load_dataset(folder), severities=(1, 2, 3, 4, 5)).source

    return make


def test_every_item_is_in_every_variant_once(shop):
    dataset = load_dataset(shop[0])
    corrupt = corrupted(dataset)
    assert [(item.id, item.label, item.split, item.bucket) for item in corrupt.items] == sorted(
        (f"{variant}/{item.id}", item.label, item.split, variant)
        for item in dataset.items
        for variant in ["clean", *DEFAULT]
    )
    assert len(corrupt) == 16 * 7
    assert corrupt.class_names == dataset.class_names
    assert corrupt.subset("test").counts() == {"test": 32}
    assert corrupt.source.location == f"{shop[0]}, corrupted"
    assert corrupt.source.path("blur-3/train/hat/a.png") == str(shop[0] / "train/hat/a.png")
    few = corrupted(dataset, ["jpeg", "blur"], [2], clean=False)
    assert {item.bucket for item in few.items} == {"jpeg-2", "blur-2"}
    assert len(few) == 14


def test_each_choice_of_variants_has_its_own_name(shop):
    dataset = load_dataset(shop[0])
    datasets_ = [
        corrupted(dataset),
        corrupted(dataset, clean=False),
        corrupted(dataset, spread=True),
        corrupted(dataset, ["blur"]),
        corrupted(dataset, severities=[1]),
    ]
    names = [corrupt.name for corrupt in datasets_]
    assert len(set(names)) == 5
    assert all(name.startswith(f"{dataset.name}-corrupted-") for name in names)
    assert corrupted(load_dataset(shop[0])).name == names[0]


def test_the_clean_variant_has_the_original_bytes(shop):
    root, contents = shop
    source = corrupted(load_dataset(root)).source
    assert dict(source.read([f"clean/{name}" for name in contents])) == {
        f"clean/{name}": content for name, content in contents.items()
    }


def test_pixels_computed_by_hand(one):
    pixels = np.array([[[200, 100, 0], [0, 0, 0]], [[100, 100, 100], [20, 40, 60]]], np.uint8)
    source = one(Image.fromarray(pixels))
    # the largest value of a pixel rises by 25.5 and the others with it; black becomes grey
    brighter = [[[226, 113, 0], [26, 26, 26]], [[126, 126, 126], [28, 57, 86]]]
    assert shown(source.read_one("brightness-1/a.png")).tolist() == brighter
    brightest = [[[255, 128, 0], [128, 128, 128]], [[228, 228, 228], [62, 125, 188]]]
    assert shown(source.read_one("brightness-5/a.png")).tolist() == brightest
    # the means of the channels are 80, 60 and 40; a fifth of the distance to them stays
    flat = [[[104, 68, 32], [64, 48, 32]], [[84, 68, 52], [68, 56, 44]]]
    assert shown(source.read_one("contrast-3/a.png")).tolist() == flat


def test_noise_is_normal_and_the_same_at_every_severity(one):
    grey = Image.fromarray(np.full((200, 300, 3), 128, np.uint8))
    source = one(grey)
    draws = {}
    for severity, share in enumerate((0.08, 0.12, 0.18, 0.26, 0.38), start=1):
        noise = shown(source.read_one(f"gaussian_noise-{severity}/a.png")) - 128
        kept = np.abs(noise) < 127  # the rest is cut off
        draws[severity] = np.where(kept, noise / (share * 255), np.nan)
        assert kept.mean() > 0.8
    rounding = 0.5 / (0.08 * 255) + 1e-9
    for severity in (2, 3, 4, 5):
        both = ~np.isnan(draws[severity])
        assert np.abs(draws[1] - draws[severity])[both].max() <= 2 * rounding
    n = draws[1].size  # 180,000: the bounds are five standard errors
    assert abs(draws[1].mean()) < 5 / np.sqrt(n)
    assert abs(draws[1].std() - 1) < 5 / np.sqrt(2 * n)
    seed = hashlib.sha256(
        b"gaussian_noise\0a.png\0" + hashlib.sha256(source.read_one("clean/a.png")).digest()
    )
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(seed.digest(), "big")))
    expected = np.rint(128 + 0.12 * 255 * rng.standard_normal((200, 300, 3)))
    assert np.array_equal(shown(source.read_one("gaussian_noise-2/a.png")), expected.clip(0, 255))


def test_noise_differs_between_images_of_the_same_pixels(tmp_path):
    image = Image.new("RGB", (8, 8), "grey")
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png")
    image.save(tmp_path / "c.bmp")
    source = corrupted(load_dataset(tmp_path)).source
    grains = {source.read_one(f"gaussian_noise-1/{name}") for name in ("a.png", "b.png", "c.bmp")}
    assert len(grains) == 3
    (tmp_path / "a.png").write_bytes((tmp_path / "c.bmp").read_bytes())
    assert source.read_one("gaussian_noise-1/a.png") not in grains


def test_blur_is_gaussian_and_follows_the_shorter_side(one):
    from scipy.ndimage import gaussian_filter

    coarse = np.random.default_rng(0).integers(0, 256, (112, 168, 3), np.uint8)
    for side, deviations in ((224, (1, 2, 3, 4, 6)), (112, (0.5, 1, 1.5, 2, 3))):
        image = Image.fromarray(coarse).resize((side * 3 // 2, side), Image.Resampling.BICUBIC)
        source = one(image)
        pixels = np.asarray(image, dtype=np.float64)
        for severity, deviation in enumerate(deviations, start=1):
            expected = gaussian_filter(pixels, (deviation, deviation, 0), mode="nearest")
            found = shown(source.read_one(f"blur-{severity}/a.png"))
            # Pillow's is three box blurs, so it is near and not the same
            assert np.abs(found - pixels).mean() > 8 * np.abs(found - expected).mean()


def test_blur_is_felt_by_the_smallest_images(one):
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 255
    source = one(Image.fromarray(stripes))
    spans = [np.ptp(shown(source.read_one(f"blur-{level}/a.png"))) for level in (1, 2, 3, 4, 5)]
    assert spans == sorted(spans, reverse=True)
    assert spans[0] < 255
    assert spans[4] < 255 / 2


def test_jpeg_equals_pillows_and_other_kinds_are_lossless(one):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    source = one(image)
    for severity, quality in enumerate((25, 18, 15, 10, 7), start=1):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        assert source.read_one(f"jpeg-{severity}/a.png") == buffer.getvalue()
    for variant in ("gaussian_noise-1", "blur-1", "brightness-1", "contrast-1"):
        assert source.read_one(f"{variant}/a.png").startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_to_the_image_grows_with_the_severity(kind, detailed):
    dataset = detailed(6)
    source = corrupted(dataset, severities=(1, 2, 3, 4, 5)).source
    for item in dataset.items:
        clean = shown(source.read_one(f"clean/{item.id}"))
        distances = [
            np.abs(shown(source.read_one(f"{kind}-{severity}/{item.id}")) - clean).mean()
            for severity in (1, 2, 3, 4, 5)
        ]
        assert 0 < distances[0] < distances[1] < distances[2] < distances[3] < distances[4]


PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.sampled_from(KINDS), st.integers(1, 5))
def test_every_kind_keeps_the_size_of_the_image(pixels, kind, severity):
    def noise():
        return np.random.default_rng(3)

    before = pixels.copy()
    content = corruption_kinds[kind](pixels, severity, noise)
    assert shown(content).shape == pixels.shape
    assert content == corruption_kinds[kind](pixels, severity, noise)
    assert np.array_equal(pixels, before)
    if kind == "brightness":
        assert (shown(content) >= before).all()
    if kind == "contrast":
        spans = [np.ptp(image.astype(float), axis=(0, 1)) for image in (shown(content), before)]
        assert (spans[0] <= 0.4 * spans[1] + 1).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((600, 400), (384, 256)),
        ((400, 600), (256, 384)),
        ((300, 256), (300, 256)),
        ((8, 5), (8, 5)),
    ],
)
def test_large_images_are_reduced_and_small_ones_keep_their_size(one, size, expected):
    source = one(Image.new("RGB", size, (10, 20, 30)))
    for variant in ("contrast-1", "jpeg-5"):
        with Image.open(io.BytesIO(source.read_one(f"{variant}/a.png"))) as image:
            assert image.size == expected
    assert (shown(source.read_one("contrast-1/a.png")) == (10, 20, 30)).all()


def layered(mode):
    pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4) * 4
    return Image.fromarray(pixels, "RGBA").convert(mode)


@pytest.mark.parametrize(
    "image",
    [
        layered("RGBA"),
        layered("LA"),
        layered("P"),
        layered("L"),
        layered("1"),
        Image.fromarray((np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)),
    ],
    ids=lambda image: image.mode,
)
def test_pixels_equal_those_for_embedding(one, image, monkeypatch):
    """A kind without effect returns the pixels before corruption."""
    from embedpipe.backbones.preprocess import Preprocess, decode
    from embedpipe.datasets.corruptions import _png

    monkeypatch.setitem(corruption_kinds._entries, "nothing", lambda pixels, *_: _png(pixels))
    source = one(image)
    as_is = Preprocess((4, 4), 4, "bilinear", (0.0,) * 3, (1.0,) * 3)
    expected, _, _ = decode(source.read_one("clean/a.png"), as_is)
    assert np.array_equal(shown(source.read_one("nothing-1/a.png")), expected)


def test_pixels_of_a_transparent_colour_equal_those_for_embedding(one, monkeypatch):
    from embedpipe.backbones.preprocess import Preprocess, decode
    from embedpipe.datasets.corruptions import _png

    monkeypatch.setitem(corruption_kinds._entries, "nothing", lambda pixels, *_: _png(pixels))
    source = one(Image.new("RGB", (4, 4), (9, 8, 7)), transparency=(9, 8, 7))
    as_is = Preprocess((4, 4), 4, "bilinear", (0.0,) * 3, (1.0,) * 3)
    expected, _, _ = decode(source.read_one("clean/a.png"), as_is)
    assert np.array_equal(shown(source.read_one("nothing-1/a.png")), expected)


def test_photos_are_upright(one):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise
    source = one(Image.fromarray(pixels), exif=exif)
    turned = np.rot90(pixels, -1)
    expected = (turned - pixels.mean((0, 1))) * 0.4 + pixels.mean((0, 1))
    assert np.array_equal(shown(source.read_one("contrast-1/a.png")), np.rint(expected))


def test_bytes_are_the_same_in_another_process_and_in_any_order(photos):
    folder = photos(5)
    corrupt = corrupted(load_dataset(folder))
    ids = [item.id for item in corrupt.items]
    code = (
        "import sys, json, hashlib; from embedpipe.datasets import corrupted, load_dataset;"
        "corrupt = corrupted(load_dataset(sys.argv[1]));"
        "ids = [item.id for item in corrupt.items][::-1];"
        "print(json.dumps({id: hashlib.sha256(corrupt.source.read_one(id)).hexdigest()"
        " for id in ids}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    here = {each: hashlib.sha256(content).hexdigest() for each, content in corrupt.source.read(ids)}
    assert json.loads(done.stdout) == here
    assert len(here) == 5 * 16


def test_it_pickles_as_the_clean_source(shop):
    dataset = load_dataset(shop[0])
    corrupt = corrupted(dataset)
    assert len(pickle.dumps(corrupt.source)) < len(pickle.dumps(dataset.source)) + 150
    copy = pickle.loads(pickle.dumps(corrupt.source))
    some = [item.id for item in corrupt.items[::5]]
    assert dict(copy.read(some)) == dict(corrupt.source.read(some))
    assert pickle.loads(pickle.dumps(corrupt)).items == corrupt.items


def test_an_image_is_read_once_for_all_its_variants(shop):
    class Counting(FolderSource):
        def read(self, ids):
            asked.append(list(ids))
            return super().read(ids)

    asked = []
    source = CorruptedSource(Counting(shop[0]))
    ids = ["blur-1/train/hat/a.png", "clean/test/hat/y.TIFF", "jpeg-5/train/hat/a.png"]
    assert sorted(name for name, _ in source.read(ids)) == sorted(ids)
    assert asked == [["train/hat/a.png", "test/hat/y.TIFF"]]


def test_an_unreadable_image_does_not_stop_the_others(shop):
    root, contents = shop
    (root / "train/hat/a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Image.new("RGB", (4, 4)).save(root / "train/hat/more/b.tiff", "EPS")
    source = corrupted(load_dataset(root)).source
    unknown = ["blur-6/train/hat/a.png", "blur/train/hat/a.png", "blr-1/a.png", "a.png", ""]
    found = dict(
        source.read(
            [
                *unknown,
                "blur-1/absent.png",
                "clean/absent.png",
                "blur-1/train/hat/a.png",
                "jpeg-1/train/hat/a.png",
                "blur-1/train/hat/more/b.tiff",
                "clean/test/hat/y.TIFF",
            ]
        )
    )
    for name in unknown:
        assert isinstance(found[name], FileNotFoundError)
        assert str(found[name]) == f"it is not in {root}, corrupted"
        assert source.stamp(name) is None
    assert isinstance(found["blur-1/absent.png"], FileNotFoundError)
    assert isinstance(found["clean/absent.png"], FileNotFoundError)
    for variant in ("blur-1", "jpeg-1"):
        assert str(found[f"{variant}/train/hat/a.png"]) == (
            "it is not an image in a supported format"
        )
    assert str(found["blur-1/train/hat/more/b.tiff"]) == (
        "it is PostScript, an unsupported format. Convert it to PNG or JPEG"
    )
    assert found["clean/test/hat/y.TIFF"] == contents["test/hat/y.TIFF"]
    with pytest.raises(FileNotFoundError):
        source.read_one("blur-1/absent.png")


def test_stamps_change_with_the_image_and_with_the_recipe(shop, monkeypatch):
    from embedpipe.datasets import corruptions

    root, _ = shop
    plain = load_dataset(root).source
    source = CorruptedSource(plain)
    name = "train/hat/a.png"
    clean = plain.stamp(name)
    assert source.stamp(f"clean/{name}") == clean
    stamp = source.stamp(f"blur-1/{name}")
    assert (stamp.size, stamp.mtime_ns, stamp.ctime_ns) == (
        clean.size,
        clean.mtime_ns,
        clean.ctime_ns,
    )
    assert stamp.inode != clean.inode
    assert (
        stamp
        == source.stamp(f"blur-1/{name}")
        == pickle.loads(pickle.dumps(source)).stamp(f"blur-1/{name}")
    )
    assert source.stamps([f"blur-1/{name}", "clean/absent", "blur-1/absent"]) == [stamp, None, None]
    os.utime(root / name, ns=(1, 1))
    assert source.stamp(f"blur-1/{name}").mtime_ns == 1
    monkeypatch.setattr(corruptions, "_recipe", lambda: "another Pillow")
    assert source.stamp(f"blur-1/{name}").inode != stamp.inode
    assert source.stamp(f"clean/{name}").inode == clean.inode
    assert corrupted(load_dataset("digits")).source.stamp("blur-1/test/1400.pgm") is None


def test_a_registered_kind(shop, monkeypatch):
    monkeypatch.setattr(corruption_kinds, "_entries", dict(corruption_kinds._entries))

    @corruption_kinds.register("blur-upside-down")
    def upside_down(pixels, severity, noise):
        """Turned on its head."""
        buffer = io.BytesIO()
        Image.fromarray(pixels[::-1]).save(buffer, "PNG")
        return buffer.getvalue()

    corrupt = corrupted(load_dataset(shop[0]), ["blur-upside-down"], [2], clean=False)
    assert {item.bucket for item in corrupt.items} == {"blur-upside-down-2"}
    clean = shown(shop[1]["train/hat/a.png"])
    found = shown(corrupt.source.read_one("blur-upside-down-2/train/hat/a.png"))
    assert np.array_equal(found, clean[::-1])
    assert corrupt.source.stamp("blur-upside-down-2/train/hat/a.png") is None


def test_invalid_options(shop):
    dataset = load_dataset(shop[0])
    for options, message in [
        ({"kinds": "blur"}, "kinds must be a list; for one kind give ['blur']."),
        ({"severities": [0]}, "a severity must be 1, 2, 3, 4 or 5; got 0."),
        ({"severities": [1, 6]}, "a severity must be 1, 2, 3, 4 or 5; got 6."),
        ({"severities": ["3"]}, "a severity must be 1, 2, 3, 4 or 5; got '3'."),
        ({"severities": [3, 1, 3]}, "3 is given twice; give it once."),
        ({"kinds": ["blur", "blur"]}, "'blur' is given twice; give it once."),
        (
            {"kinds": [], "clean": False},
            "there is no variant: give a kind and a severity, or leave `clean` on.",
        ),
    ]:
        with pytest.raises(UsageError) as raised:
            corrupted(dataset, **options)
        assert str(raised.value) == message
    with pytest.raises(UnknownNameError) as raised:
        corrupted(dataset, ["blurr"])
    assert str(raised.value) == (
        "unknown corruption 'blurr'. Did you mean 'blur'? Known: blur, brightness, contrast, "
        "gaussian_noise, jpeg."
    )
    assert {item.bucket for item in corrupted(dataset, []).items} == {"clean"}


def spread_of(items, variants):
    dataset = Dataset("x", tuple(items), FolderSource("/nowhere"))
    return corrupted(dataset, ["blur"], range(1, variants), spread=True)


def items_of(plan):
    return [Item(f"{number:04d}.jpg", label, split) for number, (label, split) in enumerate(plan)]


PLANS = st.lists(
    st.tuples(st.sampled_from(["hat", "shoe", None]), st.sampled_from(["train", "test"])),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(PLANS, st.integers(1, 6))
def test_spread_puts_every_item_in_one_variant_evenly(plan, variants):
    items = items_of(plan)
    corrupt = spread_of(items, variants)
    assert sorted(item.id.partition("/")[2] for item in corrupt.items) == [i.id for i in items]
    names = ["clean", *(f"blur-{severity}" for severity in range(1, variants))]
    for fields in ([], ["split"], ["split", "label"]):
        counts = Counter(
            (tuple(getattr(item, name) for name in fields), item.bucket) for item in corrupt.items
        )
        for group in {group for group, _ in counts}:
            sizes = [counts[group, name] for name in names]
            assert max(sizes) - min(sizes) <= 1


def test_spread_depends_on_the_ids_and_not_on_their_order():
    corrupt = spread_of(items_of([("hat", "train")] * 40), 4)
    variants = {item.id.partition("/")[2]: item.bucket for item in corrupt.items}
    in_turn = [variants[name] for name in sorted(variants)]
    assert in_turn != (["clean", "blur-1", "blur-2", "blur-3"] * 10)
    digests = sorted(variants, key=lambda name: hashlib.sha256(name.encode()).digest())
    assert [variants[name] for name in digests] == ["clean", "blur-1", "blur-2", "blur-3"] * 10


def test_embedding_reuses_the_vectors_of_clean_images(detailed, tmp_path):
    dataset = detailed(6)
    work = tmp_path / "work"
    before = ep.embed(dataset, backbone="toy", workspace=work)
    corrupt = corrupted(dataset)
    embeddings = ep.embed(corrupt, backbone="toy", workspace=work)
    assert (embeddings.report.embedded, embeddings.report.reused) == (6 * 15, 6)
    assert embeddings.items == corrupt.items
    rows = {item.id: row for row, item in enumerate(embeddings.items)}
    for row, item in enumerate(before.items):
        clean = embeddings.matrix[rows[f"clean/{item.id}"]]
        assert np.array_equal(clean, before.matrix[row])
        for kind in KINDS:
            distances = [
                np.linalg.norm(embeddings.matrix[rows[f"{kind}-{severity}/{item.id}"]] - clean)
                for severity in (1, 3, 5)
            ]
            assert 0 < distances[0] < distances[2]
    assert Counter(item.bucket for item in embeddings.items) == dict.fromkeys(
        ["clean", *DEFAULT], 6
    )
    again = ep.embed(corrupt, backbone="toy", workspace=work)
    assert (again.report.embedded, again.report.reused) == (0, 96)


def test_a_damaged_image_is_reported_in_every_variant(photos, tmp_path):
    folder = photos(4)
    broken = folder / "class0/0000.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    corrupt = corrupted(load_dataset(folder), ["blur", "jpeg"], [1])
    embeddings = ep.embed(corrupt, backbone="toy", workspace=tmp_path / "work")
    assert {failure.path for failure in embeddings.failures} == {
        f"{variant}/class0/0000.jpg" for variant in ("blur-1", "clean", "jpeg-1")
    }
    assert len(embeddings.items) == 9
