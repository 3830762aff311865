"""The vectors published with CLEAR: items, splits and faults."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from embedpipe.datasets import load_clear_features, load_clear_tree
from embedpipe.errors import DatasetError, UsageError

LAYOUTS = ["2022", "2021"]
OLD = "training_folder/features/moco_b0/2/all.pth"
NEW = "train/features/moco_b0/2/bus.pth"
LISTED = "train/labeled_metadata/2/bus.json"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("buckets", [("1", "2", "10"), ("0", "1")])
def test_vectors_have_the_items_labels_buckets_and_splits_of_the_images(clear, layout, buckets):
    tree = clear(layout, buckets=buckets)
    tree.write_features()
    dataset = load_clear_tree(tree.root)
    features = load_clear_features(tree.root)
    assert features.ids == tuple(item.id for item in dataset.items)
    assert features.labels.tolist() == dataset.labels()
    assert features.splits.tolist() == dataset.splits()
    assert features.buckets.tolist() == [item.bucket for item in dataset.items]
    assert features.class_names == dataset.class_names
    vectors = {image.id: image.vector for image in tree.images}
    assert features.matrix.dtype == np.float32
    assert features.matrix.tolist() == [vectors[each] for each in features.ids]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_load_without_the_images(clear, layout):
    tree = clear(layout)
    tree.write_features()
    before = load_clear_features(tree.root)
    for folder in ("labeled_images", "train/labeled_images", "test/labeled_images"):
        shutil.rmtree(tree.root / folder, ignore_errors=True)
    after = load_clear_features(tree.root)
    assert after.ids == before.ids
    assert np.array_equal(after.matrix, before.matrix)


def test_another_division_of_the_2021_layout(clear):
    tree = clear("2021")
    tree.write_features()
    features = load_clear_features(tree.root, split=4)
    assert features.splits.tolist() == load_clear_tree(tree.root, split=4).splits()
    whole = load_clear_features(tree.root)
    assert features.splits.tolist() != whole.splits.tolist()
    assert features.splits.tolist() == whole.for_seed(9).splits.tolist()
    assert features.for_seed(1) is features
    tree = clear("2022", "new")
    with pytest.raises(UsageError, match="no split 3; leave the split out"):
        load_clear_features(tree.root, split=3)


def test_a_split_without_vectors_is_left_out(clear):
    tree = clear("2022")
    tree.write_features(splits=("train",))
    features = load_clear_features(tree.root)
    dataset = load_clear_tree(tree.root)
    assert features.ids == tuple(item.id for item in dataset.subset("train").items)
    assert set(features.splits) == {"train"}


def test_paths_may_be_relative_to_the_file_that_lists_them(clear):
    tree = clear("2022")
    tree.write_features()
    before = load_clear_features(tree.root).matrix
    for split in ("train", "test"):
        tree.edit(f"{split}/features/moco_b0/features.json", "features/moco_b0/", "")
    assert np.array_equal(load_clear_features(tree.root).matrix, before)


def test_lists_of_vectors_and_other_floats_are_read(clear):
    tree = clear("2021", buckets=("2",))
    tree.write_features()
    vectors = load_clear_features(tree.root).matrix
    tensors, codes = torch.load(tree.root / OLD, weights_only=True)
    for pair in [
        [list(tensors), torch.tensor(codes)],
        (tensors.double(), codes),
        (tensors.half(), codes),
        (tensors.requires_grad_(), codes),
    ]:
        torch.save(pair, tree.root / OLD)
        assert np.array_equal(load_clear_features(tree.root).matrix, vectors)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_kinds_of_vectors(clear, layout):
    tree = clear(layout)
    with pytest.raises(DatasetError) as raised:
        load_clear_features(tree.root)
    assert str(raised.value) == (
        f"the CLEAR tree '{tree.root}' has no vectors of kind 'moco_b0'; it has: none."
    )
    tree.write_features("imagenet")
    tree.write_features("byol_imagenet")
    for kind in ("moco_b0", "../imagenet"):
        with pytest.raises(DatasetError) as raised:
            load_clear_features(tree.root, kind)
        assert str(raised.value) == (
            f"the CLEAR tree '{tree.root}' has no vectors of kind '{kind}'; it has: "
            "byol_imagenet, imagenet."
        )
    assert len(load_clear_features(tree.root, "imagenet").ids) == 27


def save(content):
    return lambda tree, file: torch.save(content, tree.root / file)


def change(edit):
    def apply(tree, file):
        content = torch.load(tree.root / file, weights_only=True)
        torch.save(edit(content), tree.root / file)

    return apply


def remove(tree, file):
    (tree.root / file).unlink()


def poisoned(tree, file):
    (tree.root / file).write_bytes(pickle.dumps(Poison(), protocol=2))


class Poison:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the code in the file was run')",)


OLD_FAULTS = [
    (remove, "is missing"),
    (lambda tree, file: tree.put(file, b"no tensors"), "is not a file of tensors"),
    (poisoned, "is not a file of tensors"),
    (save([1, 2, 3]), "must contain a pair of vectors and labels"),
    (save((5, 6)), "must contain a pair of vectors and labels"),
    (
        change(lambda pair: (pair[0], ["bus"] * 9)),
        "has class 'bus' for 'labeled_images/2/BACKGROUND/2000.jpg', which is not 'BACKGROUND'",
    ),
    (
        change(lambda pair: (pair[0][:-1], pair[1])),
        "has 8 vectors and 9 labels for the 9 images in 'training_folder/filelists/2/all.txt'",
    ),
    (
        change(lambda pair: (pair[0], pair[1][::-1])),
        "has class 2 for 'labeled_images/2/BACKGROUND/2000.jpg', which is not 'BACKGROUND'",
    ),
    (
        change(lambda pair: (pair[0][:, :, None], pair[1])),
        "must have one vector for each image, all of the same length",
    ),
    (
        change(lambda pair: (pair[0] / 0, pair[1])),
        "has vectors that are not finite",
    ),
    (
        change(lambda pair: (pair[0][:, :3], pair[1])),
        "has vectors of length 3; those in 'training_folder/features/moco_b0/1/all.pth' have "
        "length 4",
    ),
]

NEW_FAULTS = [
    (remove, "is missing"),
    (poisoned, "is not a file of tensors"),
    (save(torch.ones(2, 4)), "must contain vectors by Flickr id"),
    (
        change(lambda found: found | {"5": torch.ones(4)}),
        f"has a vector of '5', not listed in '{LISTED}'",
    ),
    (
        change(lambda found: {"2011": found["2011"]}),
        f"has no vector of '2010', listed in '{LISTED}'",
    ),
    (
        change(lambda found: found | {"2011": torch.ones(5)}),
        "must have one vector for each image, all of the same length",
    ),
    (
        change(lambda found: dict.fromkeys(found, 5)),
        "must have one vector for each image, all of the same length",
    ),
    (
        change(lambda found: found | {"2011": torch.full((4,), torch.nan)}),
        "has vectors that are not finite",
    ),
    (
        change(lambda found: {key: vector[:3] for key, vector in found.items()}),
        "has vectors of length 3; those in 'train/features/moco_b0/1/BACKGROUND.pth' have length 4",
    ),
]

FAULTS = [("2021", OLD, *fault) for fault in OLD_FAULTS] + [
    ("2022", NEW, *fault) for fault in NEW_FAULTS
]


@pytest.mark.parametrize(("layout", "file", "break_", "fault"), FAULTS)
def test_a_fault_is_an_error_that_names_the_file(clear, layout, file, break_, fault):
    tree = clear(layout)
    tree.write_features()
    break_(tree, file)
    with pytest.raises(DatasetError) as raised:
        load_clear_features(tree.root)
    assert str(raised.value) == f"'{file}' of the CLEAR tree '{tree.root}' {fault}."


def test_faults_in_the_list_of_files(clear):
    tree = clear("2022")
    tree.write_features()
    file = "train/features/moco_b0/features.json"
    files = json.loads((tree.root / file).read_text())
    for content, fault in [
        (
            files | {"2": {}},
            "must contain the path of the vectors of 'BACKGROUND' in bucket '2', not null",
        ),
        (
            files | {"2": files["2"] | {"bus": "../../x.pth"}},
            "has '../../x.pth', which is not inside the tree",
        ),
        ([], "must contain an object of buckets, not []"),
    ]:
        tree.put(file, json.dumps(content))
        with pytest.raises(DatasetError) as raised:
            load_clear_features(tree.root)
        assert str(raised.value) == f"'{file}' of the CLEAR tree '{tree.root}' {fault}."


def test_a_tree_with_empty_lists(clear):
    tree = clear("2021", buckets=("1",))
    tree.write_features()
    for file in ("filelists/1/all.txt", "testset_ratio_0.3/split_0/1/train.txt"):
        tree.put(f"training_folder/{file}", "")
    tree.put("training_folder/testset_ratio_0.3/split_0/1/test.txt", "")
    with pytest.raises(DatasetError) as raised:
        load_clear_features(tree.root)
    assert str(raised.value) == f"the CLEAR tree '{tree.root}' lists no image."


def test_torch_is_loaded_only_when_vectors_are_read():
    code = "import sys, embedpipe.datasets.clear_features; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
