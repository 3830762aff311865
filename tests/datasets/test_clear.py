"""CLEAR trees in both layouts, whole and broken."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.datasets import load_clear_tree, load_dataset
from embedpipe.datasets.clear import read_clear_tree
from embedpipe.datasets.clear_tree import path_inside
from embedpipe.datasets.registry import Request, datasets
from embedpipe.errors import DatasetError, UsageError

LAYOUTS = ["2022", "2021"]


def found(dataset):
    return [(item.id, item.label, item.split, item.bucket) for item in dataset.items]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_reads_back_exactly(clear, layout):
    tree = clear(layout)
    dataset = load_clear_tree(tree.root)
    assert found(dataset) == tree.expected()
    assert len(dataset) == 3 * 3 * 3
    assert dataset.class_names == ("BACKGROUND", "bus", "dress")
    contents = {image.id: image.content for image in tree.images}
    assert dict(dataset.source.read(list(contents))) == contents
    assert dataset.counts() == {"train": 18, "test": 9}
    by_path = load_dataset(tree.root)
    assert (by_path.items, by_path.class_names) == (dataset.items, dataset.class_names)
    assert by_path.name == dataset.name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_buckets_are_disjoint_and_contain_both_splits_of_every_class(clear, layout):
    tree = clear(layout)
    dataset = load_clear_tree(tree.root)
    buckets = {}
    for item in dataset.items:
        buckets.setdefault(item.bucket, []).append(item)
    assert {name: len(items) for name, items in buckets.items()} == {"1": 9, "10": 9, "2": 9}
    for name, items in buckets.items():
        assert {item.id.split("labeled_images/")[1].split("/")[0] for item in items} == {name}
        assert {(item.label, item.split) for item in items} == {
            (label, split) for label in tree.classes for split in ("train", "test")
        }
    ids = [item.id for items in buckets.values() for item in items]
    assert len(set(ids)) == len(ids) == len(dataset)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_registered_names_accept_both_layouts(clear, layout):
    classes = datasets["clear10"].card.classes
    tree = clear(layout, classes=classes, buckets=("1", "2"))
    for name in ("clear10", "clear100"):
        dataset = load_dataset(name, source=tree.root)
        assert dataset.name == name
        assert dataset.card is datasets[name].card
        assert dataset.class_names == classes
        assert found(dataset) == tree.expected()


def test_classes_that_differ_from_the_card_of_clear10(clear):
    tree = clear("2022")
    with pytest.raises(DatasetError) as raised:
        load_dataset("clear10", source=tree.root)
    others = [name for name in datasets["clear10"].card.classes if name not in tree.classes]
    assert str(raised.value) == (
        f"the classes of clear10 in the source '{tree.root}' differ from the classes in the card: "
        f"{', '.join(map(repr, others))}."
    )


def test_other_divisions_of_the_2021_layout(clear):
    tree = clear("2021")
    splits = tree.root / "training_folder/testset_ratio_0.3"
    for number in range(5):
        expected = {image.id for at, image in enumerate(tree.images) if (at + number) % 3 == 2}
        for dataset in (
            load_clear_tree(tree.root, split=number),
            load_dataset("clear100", source=splits / f"split_{number}"),
        ):
            assert {item.id for item in dataset.items if item.split == "test"} == expected
            assert len(dataset) == 27
    with pytest.raises(DatasetError) as raised:
        load_clear_tree(tree.root, split=7)
    assert str(raised.value) == (
        f"'training_folder/testset_ratio_0.3/split_7/1/train.txt' of the CLEAR tree "
        f"'{tree.root}' is missing."
    )


def test_the_2022_layout_has_one_test_set(clear):
    tree = clear("2022")
    with pytest.raises(UsageError) as raised:
        load_clear_tree(tree.root, split=2)
    assert str(raised.value) == (
        f"the CLEAR tree '{tree.root}' has train/ and test/, and no split 2; leave the split out."
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bucket_0_has_no_labels_even_if_it_is_listed_with_classes(clear, layout):
    tree = clear(layout, buckets=("0", "1"))
    dataset = load_clear_tree(tree.root)
    assert found(dataset) == tree.expected()
    labels = {item.bucket: set() for item in dataset.items}
    for item in dataset.items:
        labels[item.bucket].add(item.label)
    assert labels == {"0": {None}, "1": set(tree.classes)}


def test_bucket_0_without_labels_without_splits_and_without_a_list(clear):
    tree = clear("2021", buckets=("1",))
    indices = "training_folder/bucket_indices.json"
    tree.put(indices, "[0, 1]")
    assert len(load_clear_tree(tree.root)) == 9  # nothing is listed of it
    paths = ["all_images/0/my photo.jpg", "labeled_images/0/odd/7.jpg", "all_images/0/8.jpg"]
    for path in paths:
        tree.put(path, tree.images[0].content)
    lines = [paths[0], f"{paths[1]} 99", f"  {paths[2]}\t-1 ", ""]
    tree.put("training_folder/filelists/0/all.txt", "\r\n".join(lines))
    dataset = load_clear_tree(tree.root)
    assert found(dataset) == sorted(
        [*tree.expected(), *((path, None, None, "0") for path in paths)], key=lambda row: row[0]
    )


def test_lists_may_have_blank_lines_blanks_in_paths_and_a_byte_order_mark(clear):
    tree = clear("2021", classes=("bus", "racing car"), buckets=("3",))
    assert found(load_clear_tree(tree.root)) == tree.expected()
    file = "training_folder/filelists/3/all.txt"
    content = (tree.root / file).read_text().replace("\n", "  \r\n\r\n")
    tree.put(file, b"\xef\xbb\xbf./" + content.encode())
    assert found(load_clear_tree(tree.root)) == tree.expected()


def test_metadata_may_be_in_another_folder_and_have_other_fields(clear):
    tree = clear("2022")
    (tree.root / "train/labeled_metadata").rename(tree.root / "train/meta data")
    tree.edit("train/labeled_metadata.json", "labeled_metadata/", "./meta data/")
    assert found(load_clear_tree(tree.root)) == tree.expected()


def test_images_may_be_links(clear):
    tree = clear("2021")
    first = tree.root / tree.images[0].id
    first.rename(tree.root / "elsewhere.jpg")
    first.symlink_to(tree.root / "elsewhere.jpg")
    assert found(load_clear_tree(tree.root)) == tree.expected()
    (tree.root / "elsewhere.jpg").unlink()
    with pytest.raises(DatasetError, match=r"lists '.*', which is not a file\.$"):
        load_clear_tree(tree.root)


def layout_2021(edit):
    return "2021", edit


def layout_2022(edit):
    return "2022", edit


ALL = "training_folder/filelists/2/all.txt"
TRAIN = "training_folder/testset_ratio_0.3/split_0/2/train.txt"
TEST = "training_folder/testset_ratio_0.3/split_0/2/test.txt"
INDICES = "training_folder/bucket_indices.json"
META = "train/labeled_metadata.json"
BUS = "train/labeled_metadata/2/bus.json"


def without(file):
    return lambda tree: (tree.root / file).unlink()


def put(file, content):
    return lambda tree: tree.put(file, content)


def edit(file, old, new):
    return lambda tree: tree.edit(file, old, new)


BROKEN = {
    # a file that is not there
    "no classes, old": (
        layout_2021(without("class_names.txt")),
        "'class_names.txt' of the CLEAR tree '{root}' is missing.",
    ),
    "no classes, new": (
        layout_2022(without("test/class_names.txt")),
        "'test/class_names.txt' of the CLEAR tree '{root}' is missing.",
    ),
    "no list of buckets": (
        layout_2021(without(INDICES)),
        "'training_folder/bucket_indices.json' of the CLEAR tree '{root}' is missing.",
    ),
    "no list of a bucket": (
        layout_2021(without(ALL)),
        f"'{ALL}' of the CLEAR tree '{{root}}' is missing.",
    ),
    "no list of a split": (
        layout_2021(without(TEST)),
        f"'{TEST}' of the CLEAR tree '{{root}}' is missing.",
    ),
    "no metadata": (
        layout_2022(without("test/labeled_metadata.json")),
        "'test/labeled_metadata.json' of the CLEAR tree '{root}' is missing.",
    ),
    "no metadata of a class": (
        layout_2022(without(BUS)),
        f"'{BUS}' of the CLEAR tree '{{root}}' is missing.",
    ),
    "no split": (
        layout_2022(lambda tree: (tree.root / "test").rename(tree.root / "x")),
        "'test' of the CLEAR tree '{root}' is missing; train and test are needed.",
    ),
    # an image that is not there, or not where it is listed
    "dangling, old": (
        layout_2021(without("labeled_images/2/bus/2011.jpg")),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/2011.jpg', which is not "
        "a file.",
    ),
    "dangling, new": (
        layout_2022(without("train/labeled_images/2/bus/2011.jpg")),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists 'train/labeled_images/2/bus/2011.jpg', which "
        "is not a file.",
    ),
    "wrong bucket, old": (
        layout_2021(edit(ALL, "labeled_images/2/bus/2011.jpg", "labeled_images/1/bus/1011.jpg")),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/1/bus/1011.jpg' in bucket "
        "'2', but its folder is bucket '1'; an image must be in one bucket.",
    ),
    "wrong bucket, new": (
        layout_2022(edit(BUS, "labeled_images/2/bus/2011.jpg", "labeled_images/1/bus/1011.jpg")),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists 'labeled_images/1/bus/1011.jpg' in bucket "
        "'2', but its folder is bucket '1'; an image must be in one bucket.",
    ),
    "wrong class, old": (
        layout_2021(
            edit(ALL, "labeled_images/2/bus/2011.jpg 1", "labeled_images/2/bus/2011.jpg 2")
        ),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/2011.jpg' as 'dress', "
        "but its folder is 'bus'.",
    ),
    "wrong class, new": (
        layout_2022(edit(META, "labeled_metadata/2/bus.json", "labeled_metadata/2/dress.json")),
        "'train/labeled_metadata/2/dress.json' of the CLEAR tree '{root}' lists "
        "'labeled_images/2/dress/2020.jpg' as 'bus', but its folder is 'dress'.",
    ),
    "wrong place": (
        layout_2021(edit(ALL, "labeled_images/2/bus/2011.jpg", "images/2/bus/2011.jpg")),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'images/2/bus/2011.jpg'; expected "
        "labeled_images/<bucket>/<class>/<image>.",
    ),
    "too shallow": (
        layout_2022(edit(BUS, "labeled_images/2/bus/2011.jpg", "labeled_images/2/2011.jpg")),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/2011.jpg'; expected "
        "labeled_images/<bucket>/<class>/<image>.",
    ),
    "twice, old": (
        layout_2021(edit(ALL, "labeled_images/2/bus/2011.jpg", "labeled_images/2/bus/2010.jpg")),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/2010.jpg' in line 4 "
        "and in line 5.",
    ),
    "twice, new": (
        layout_2022(edit(BUS, "labeled_images/2/bus/2011.jpg", "labeled_images/2/bus/2010.jpg")),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/2010.jpg' twice, as "
        "'2010' and as '2011'.",
    ),
    # a path that leads out
    "image outside, old": (
        layout_2021(
            edit(ALL, "labeled_images/2/bus/2011.jpg", "labeled_images/../../2/bus/2011.jpg")
        ),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/../../2/bus/2011.jpg', which "
        "is not inside the tree.",
    ),
    "image outside, new": (
        layout_2022(edit(BUS, '"labeled_images/2/bus/2011.jpg"', '"/etc/passwd"')),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists '/etc/passwd', which is not inside the tree.",
    ),
    "no path at all": (
        layout_2022(
            edit(BUS, '"labeled_images/2/bus/2011.jpg"', '"labeled_images/2/bus/\\u0000.jpg"')
        ),
        f"'{BUS}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/\\x00.jpg', which is "
        "not inside the tree.",
    ),
    "metadata outside": (
        layout_2022(edit(META, "labeled_metadata/2/bus.json", "../../bus.json")),
        f"'{META}' of the CLEAR tree '{{root}}' has '../../bus.json', which is not inside the "
        "tree.",
    ),
    "bucket outside": (
        layout_2021(put(INDICES, '["../../secret"]')),
        f"'{INDICES}' of the CLEAR tree '{{root}}' has the bucket '../../secret'; a bucket "
        "must be a number.",
    ),
    # classes
    "unknown class, old": (
        layout_2021(
            edit(ALL, "labeled_images/2/bus/2011.jpg 1", "labeled_images/2/bus/2011.jpg 3")
        ),
        f"'{ALL}' of the CLEAR tree '{{root}}' has class 3 in line 5; 'class_names.txt' has 0 "
        "to 2.",
    ),
    "unknown class, new": (
        layout_2022(edit(META, '"bus":', '"car":')),
        f"'{META}' of the CLEAR tree '{{root}}' has the class 'car', which is not in "
        "'train/class_names.txt'.",
    ),
    "class that is no number": (
        layout_2021(
            edit(ALL, "labeled_images/2/bus/2011.jpg 1", "labeled_images/2/bus/2011.jpg bus")
        ),
        f"'{ALL}' of the CLEAR tree '{{root}}' has no 'path label' in line 5: "
        "'labeled_images/2/bus/2011.jpg bus'.",
    ),
    "no class": (
        layout_2021(edit(ALL, "labeled_images/2/bus/2011.jpg 1", "labeled_images/2/bus/2011.jpg")),
        f"'{ALL}' of the CLEAR tree '{{root}}' has no 'path label' in line 5: "
        "'labeled_images/2/bus/2011.jpg'.",
    ),
    "a class twice": (
        layout_2021(put("class_names.txt", "bus\ndress\nbus\n")),
        "'class_names.txt' of the CLEAR tree '{root}' lists 'bus' in line 1 and in line 3.",
    ),
    "a blank class": (
        layout_2021(put("class_names.txt", "bus\n\ndress\n")),
        "'class_names.txt' of the CLEAR tree '{root}' has no class in line 2; the line gives the "
        "class its number.",
    ),
    "no class at all": (
        layout_2021(put("class_names.txt", "\n")),
        "'class_names.txt' of the CLEAR tree '{root}' lists no class.",
    ),
    "two orders of classes": (
        layout_2022(put("test/class_names.txt", "bus\nBACKGROUND\ndress")),
        "'test/class_names.txt' of the CLEAR tree '{root}' must have the same lines as "
        "'train/class_names.txt'.",
    ),
    "classes in another encoding": (
        layout_2021(put("class_names.txt", "Fahrräder".encode("latin-1"))),
        "'class_names.txt' of the CLEAR tree '{root}' is not UTF-8.",
    ),
    # splits
    "in both splits": (
        layout_2021(lambda tree: tree.put(TEST, (tree.root / TRAIN).read_bytes())),
        f"'{TEST}' of the CLEAR tree '{{root}}' lists '{{first}}', which is also in '{TRAIN}'.",
    ),
    "in no split": (
        layout_2021(put(TEST, "")),
        f"'{ALL}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/BACKGROUND/2002.jpg', which "
        "is in no list of split_0.",
    ),
    "in a split alone": (
        layout_2021(edit(TEST, "labeled_images/2/bus/2012.jpg", "labeled_images/2/bus/9.jpg")),
        f"'{TEST}' of the CLEAR tree '{{root}}' lists 'labeled_images/2/bus/9.jpg', which is not "
        f"in '{ALL}'.",
    ),
    # JSON that holds something else
    "no JSON": (
        layout_2022(put(BUS, "{")),
        f"'{BUS}' of the CLEAR tree '{{root}}' is not JSON: Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1).",
    ),
    "buckets in a list": (
        layout_2022(put(META, '["1"]')),
        f"'{META}' of the CLEAR tree '{{root}}' must contain an object of buckets, not [\"1\"].",
    ),
    "a folder in place of classes": (
        layout_2022(put(META, '{"1": "labeled_metadata/1"}')),
        f"'{META}' of the CLEAR tree '{{root}}' must contain an object of classes, not "
        '"labeled_metadata/1".',
    ),
    "a number in place of a path": (
        layout_2022(put(META, '{"1": {"bus": 5}}')),
        f"'{META}' of the CLEAR tree '{{root}}' must contain the path of the images of 'bus', not "
        "5.",
    ),
    "images in a list": (
        layout_2022(put(BUS, json.dumps(["labeled_images/2/bus/2011.jpg"] * 2))),
        f"'{BUS}' of the CLEAR tree '{{root}}' must contain an object of images, not "
        '["labeled_images/2/bus/2011.jpg", "la....',
    ),
    "no path of an image": (
        layout_2022(edit(BUS, "IMG_PATH", "PATH")),
        f"'{BUS}' of the CLEAR tree '{{root}}' must contain the path of image '2010' as IMG_PATH, "
        "not null.",
    ),
    "an object of buckets": (
        layout_2021(put(INDICES, '{"1": 1}')),
        f"'{INDICES}' of the CLEAR tree '{{root}}' must contain a list of buckets.",
    ),
    "a bucket twice": (
        layout_2021(put(INDICES, '["1", 2, 1]')),
        f"'{INDICES}' of the CLEAR tree '{{root}}' lists the bucket '1' twice.",
    ),
    "a bucket with a name": (
        layout_2022(edit(META, '"2": ', '"two": ')),
        f"'{META}' of the CLEAR tree '{{root}}' has the bucket 'two'; a bucket must be a number.",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_tree_is_an_error_that_names_the_file(clear, name):
    (layout, break_), message = BROKEN[name]
    tree = clear(layout)
    assert len(load_clear_tree(tree.root)) == 27
    break_(tree)
    with pytest.raises(DatasetError) as raised:
        load_clear_tree(tree.root)
    first = ""
    if layout == "2021" and (tree.root / TRAIN).exists():
        first = (tree.root / TRAIN).read_text().split()[0]
    assert str(raised.value) == message.format(root=tree.root, first=first)


def test_a_file_that_cannot_be_read(clear):
    tree = clear("2021")
    (tree.root / "class_names.txt").unlink()
    (tree.root / "class_names.txt").mkdir()
    with pytest.raises(DatasetError) as raised:
        load_clear_tree(tree.root)
    assert str(raised.value) == (
        f"'class_names.txt' of the CLEAR tree '{tree.root}' cannot be read: Is a directory."
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lists_of_all_buckets_in_every_bucket_are_refused(clear, layout):
    """A published reader has this bug: it collects images outside of the loop over buckets."""
    tree = clear(layout)
    if layout == "2022":
        file, path = "train/labeled_metadata/10/bus.json", "labeled_images/1/bus/1010.jpg"
        images = [image for image in tree.images if (image.label, image.split) == ("bus", "train")]
        listed = {i.key: {"IMG_PATH": i.id.removeprefix("train/")} for i in images}
        tree.put(file, json.dumps(listed))
    else:
        file = "training_folder/filelists/10/all.txt"
        path = "labeled_images/1/BACKGROUND/1000.jpg"
        tree.put(file, "\n".join(f"{image.id} {image.code}" for image in tree.images))
    with pytest.raises(DatasetError) as raised:
        load_clear_tree(tree.root)
    assert str(raised.value) == (
        f"'{file}' of the CLEAR tree '{tree.root}' lists '{path}' in bucket '10', but its folder "
        "is bucket '1'; an image must be in one bucket."
    )


def test_a_folder_that_is_not_a_tree(tmp_path, shop):
    with pytest.raises(DatasetError) as raised:
        load_clear_tree(tmp_path)
    assert str(raised.value) == (
        f"'{tmp_path}' is not a CLEAR tree: it contains neither train/ and test/ nor "
        "training_folder/; give the folder that contains them."
    )
    with pytest.raises(DatasetError) as raised:
        load_dataset("clear10", source=shop[0])
    assert str(raised.value) == (
        f"'train/class_names.txt' of the CLEAR tree '{shop[0]}' is missing."
    )


def test_a_split_folder_without_its_lists_is_an_ordinary_folder(make, tmp_path):
    make(tmp_path, ["train/labeled_images/1/bus/1.jpg", "test/labeled_images/1/bus/2.jpg"])
    assert {item.bucket for item in load_dataset(tmp_path).items} == {None}


@pytest.mark.parametrize("name", ["clear10", "clear100"])
def test_sources_that_are_not_folders(name, tmp_path):
    (tmp_path / "clear.zip").write_bytes(b"PK")
    for source, message in [
        (tmp_path / "absent", f"the source of {name} does not exist: '{tmp_path / 'absent'}'."),
        (
            tmp_path / "clear.zip",
            f"the source of {name} is not a folder: '{tmp_path / 'clear.zip'}'.",
        ),
    ]:
        with pytest.raises(DatasetError) as raised:
            load_dataset(name, source=source)
        assert str(raised.value) == message
    with pytest.raises(UsageError) as raised:
        load_dataset(name, source="https://example.org/clear10-train.zip")
    assert str(raised.value) == (
        f"{name} cannot be downloaded from a URL; unpack the archive and give the folder."
    )
    for download in (False, True):
        with pytest.raises(DatasetError) as raised:
            datasets[name](Request(download=download))
        assert str(raised.value) == (
            f"{name} cannot be downloaded by embedpipe: get it from "
            "https://clear-benchmark.github.io and give --source PATH (a folder with train/ and "
            "test/, each with class_names.txt and labeled_metadata.json, or one with "
            "training_folder/)."
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_embeds_with_its_buckets_and_a_broken_one_writes_no_files(clear, layout, tmp_path):
    tree = clear(layout)
    embeddings = ep.embed(tree.root, backbone="toy", workspace=tmp_path / "work")
    assert found(embeddings) == tree.expected()
    assert embeddings.matrix.shape == (27, 48)
    (tree.root / tree.images[-1].id).unlink()
    with pytest.raises(DatasetError, match=r"which is not a file\.$"):
        ep.embed(tree.root, backbone="toy", workspace=tmp_path / "other")
    assert not (tmp_path / "other").exists()


PLACES = st.dictionaries(
    st.integers(1, 40),
    st.tuples(
        st.sampled_from(["1", "2", "3"]), st.sampled_from("abc"), st.sampled_from(["train", "test"])
    ),
    min_size=1,
)


@settings(max_examples=40, deadline=None)
@given(PLACES)
def test_all_listed_images_are_read(tmp_path_factory, places):
    for layout, write in (("2022", write_2022), ("2021", write_2021)):
        root = tmp_path_factory.mktemp(layout)
        write(root, places)
        expected = sorted(
            (
                f"{split}/" * (layout == "2022") + f"labeled_images/{b}/{name}/{key}.jpg",
                name,
                split,
                b,
            )
            for key, (b, name, split) in places.items()
        )
        tree = read_clear_tree(root)
        assert [(i.id, i.label, i.split, i.bucket) for i in tree.items()] == expected
        assert tree.class_names == ("a", "b", "c")


def put_text(root, file, text):
    path = Path(root, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_2022(root, places):
    for split in ("train", "test"):
        put_text(root, f"{split}/class_names.txt", "a\nb\nc\n")
        index = {}
        for bucket, name in sorted({place[:2] for place in places.values()}):
            file = f"labeled_metadata/{bucket}/{name}.json"
            index.setdefault(bucket, {})[name] = file
            listed = {
                key: {"IMG_PATH": f"labeled_images/{bucket}/{name}/{key}.jpg"}
                for key, place in places.items()
                if place == (bucket, name, split)
            }
            put_text(root, f"{split}/{file}", json.dumps(listed))
        put_text(root, f"{split}/labeled_metadata.json", json.dumps(index))


def write_2021(root, places):
    put_text(root, "class_names.txt", "a\nb\nc")
    buckets = sorted({bucket for bucket, _, _ in places.values()})
    put_text(root, "training_folder/bucket_indices.json", json.dumps(buckets))
    for bucket in buckets:
        lines = {
            f"labeled_images/{bucket}/{name}/{key}.jpg {'abc'.index(name)}": split
            for key, (its, name, split) in places.items()
            if its == bucket
        }
        put_text(root, f"training_folder/filelists/{bucket}/all.txt", "\n".join(lines))
        for split in ("train", "test"):
            part = [line for line, its in lines.items() if its == split]
            folder = f"training_folder/testset_ratio_0.3/split_0/{bucket}"
            put_text(root, f"{folder}/{split}.txt", "\n".join(part[::-1]))


def test_each_seed_selects_a_division(clear):
    tree = clear("2021")
    splits = tree.root / "training_folder/testset_ratio_0.3"
    whole = load_dataset("clear100", source=tree.root)
    for seed in (0, 1, 4, 5, 8):
        expected = {i.id for at, i in enumerate(tree.images) if (at + seed % 5) % 3 == 2}
        found = whole.for_seed(seed)
        assert {item.id for item in found.items if item.split == "test"} == expected
        assert {item.id for item in found.items if item.split == "train"} == (
            {item.id for item in whole.items} - expected
        )
    chosen = load_dataset("clear100", source=splits / "split_3")
    assert chosen.for_seed(1) is chosen
    assert load_clear_tree(tree.root, split=2).division is None
    new = load_clear_tree(clear("2022", name="new").root)
    assert new.for_seed(3) is new


def test_loops_and_streams_use_the_division_of_their_seed(clear, tmp_path):
    tree = clear("2021")
    embeddings = ep.embed(load_clear_tree(tree.root), backbone="toy", workspace=tmp_path / "w")
    ids = [item.id for item in embeddings.items]
    for seed in range(6):
        expected = sorted(
            image.id for at, image in enumerate(tree.images) if (at + seed % 5) % 3 == 2
        )
        problem = Problem.of(embeddings, seed)
        assert sorted(ids[row] for row in problem.test_rows) == expected
        stream = ep.Stream.of(embeddings, "buckets", seed=seed)
        tested = np.concatenate([each.test for each in stream.experiences])
        assert sorted(ids[row] for row in tested) == expected
    grid = ep.Experiment(
        embeddings, strategies=["random"], heads=["nearest_mean"], seeds=5, initial_size=2,
        batch_size=2, rounds=0, pool_share=1, upper_baseline=False, workspace=tmp_path / "w",
    )  # fmt: skip
    digests = {entry.cell.seed: entry.pool.identity.digest for entry in grid._entries}
    assert len(set(digests.values())) == 3  # the tree repeats its divisions after three
    assert digests[0] == digests[3] != digests[1]


def test_a_path_within_the_tree():
    assert path_inside("./labeled_images/1/bus/7.jpg") == "labeled_images/1/bus/7.jpg"
    assert path_inside("a/../../b") is None
    assert path_inside("/etc/passwd") is None
