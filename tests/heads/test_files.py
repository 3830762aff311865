"""Head files, and damaged ones."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import DamagedFileError, UsageError
from embedpipe.heads import LogisticHead, files, heads, load_head, save_head


@pytest.fixture
def head():
    return LogisticHead(C=10.0).fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])


@pytest.fixture
def path(head, tmp_path):
    return save_head(head, tmp_path / "head.safetensors", metadata={"spec_id": "ab"})


def header_of(path):
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["embedpipe-head"]), tensors


def resealed(path, change):
    """Change the header and its digest."""
    header, tensors = header_of(path)
    header = {**header, **change}
    del header["sha256"]
    header["sha256"] = files._digest(header, tensors)
    rewrite(path, header, tensors)


def rewrite(path, header, tensors):
    save_file(tensors, path, metadata={"embedpipe-head": json.dumps(header)})


def test_the_header_describes_the_file(path):
    header, tensors = header_of(path)
    assert header["format"] == "embedpipe-head"
    assert header["version"] == 1
    assert header["head"] == "logistic"
    assert header["parameters"] == LogisticHead(C=10.0).get_params()
    assert header["fitted"]["classes_"] == ["hat", "shoe"]
    assert header["metadata"] == {"spec_id": "ab"}
    assert sorted(tensors) == ["coef_", "intercept_"]


def test_metadata_are_optional(head, tmp_path):
    assert load_head(save_head(head, tmp_path / "h"))[1] == {}


def test_the_same_head_gives_the_same_bytes(head, path, tmp_path):
    again = save_head(head, tmp_path / "again", metadata={"spec_id": "ab"})
    assert again.read_bytes() == path.read_bytes()


def test_an_unfitted_head_is_not_saved(tmp_path):
    with pytest.raises(UsageError) as error:
        save_head(LogisticHead(), tmp_path / "h")
    assert str(error.value) == ("this LogisticHead is not fitted yet: call fit before saving.")
    assert list(tmp_path.iterdir()) == []


def test_an_unregistered_head_is_not_saved(tmp_path):
    with pytest.raises(UsageError) as error:
        save_head(GaussianNB().fit([[0.0], [1.0]], [0, 1]), tmp_path / "h")
    message = str(error.value)
    assert message.startswith("GaussianNB is not a registered head and cannot be saved.")
    assert "logistic" in message


def test_an_attribute_of_another_type_is_not_saved(head, tmp_path):
    head.extra_ = {"a": 1}
    with pytest.raises(UsageError) as error:
        save_head(head, tmp_path / "h")
    assert str(error.value) == (
        "the head 'logistic' cannot be saved: extra_ is a dict; "
        "expected a number, a string or an array of these."
    )


def test_metadata_must_be_json(head, tmp_path):
    with pytest.raises(UsageError) as error:
        save_head(head, tmp_path / "h", metadata={"a": {1}})
    assert str(error.value) == (
        "a head's parameters and metadata must be plain JSON: "
        "Object of type set is not JSON serializable."
    )


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError) as error:
        load_head(tmp_path / "none")
    assert (
        str(error.value)
        == f"there is no model file at {tmp_path / 'none'}. Check --model, or train one."
    )


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedFileError) as error:
        load_head(path)
    message = str(error.value)
    assert message.startswith(f"{path} is not a model file, or is truncated: ")
    assert "\n" not in message


def test_any_changed_byte_is_detected(head, path):
    good = path.read_bytes()
    expected = head.predict_proba([[0.3, 0.4]])
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x01]) + good[position + 1 :])
        try:
            again, _ = load_head(path)
        except (DamagedFileError, UsageError):
            continue
        np.testing.assert_array_equal(again.predict_proba([[0.3, 0.4]]), expected)


def test_altered_numbers_are_refused(path):
    header, tensors = header_of(path)
    tensors["coef_"][0, 0] += 1.0
    rewrite(path, header, tensors)
    with pytest.raises(DamagedFileError) as error:
        load_head(path)
    assert str(error.value) == f"{path} was altered: its content does not match its digest."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"version": 2},
            " is a model file of version 2; this embedpipe reads version 1: update embedpipe.",
        ),
        ({"parameters": {"D": 1}}, " has an invalid header: "),
        ({"fitted": None}, " has an invalid header: "),
    ],
)
def test_an_invalid_header_is_refused(path, change, text):
    resealed(path, change)
    with pytest.raises(DamagedFileError) as error:
        load_head(path)
    assert str(error.value).startswith(f"{path}{text}")


@pytest.mark.parametrize("name", ["mine", "sklearn.tree:DecisionTreeClassifier"])
def test_the_file_of_an_unregistered_head_is_refused(path, name):
    resealed(path, {"head": name})
    with pytest.raises(UsageError) as error:
        load_head(path)
    assert str(error.value) == (
        f"{path} holds the head {name!r}, which is not registered. Install the package that has "
        "it, or import the module that registers it (--import MODULE)."
    )


def test_a_custom_head_is_saved_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "_entries", dict(heads._entries))

    @heads.register("least")
    class Least(ClassifierMixin, BaseEstimator):
        """Predicts the least label."""

        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X):
            return np.eye(len(self.classes_))[np.zeros(len(X), dtype=int)]

    again, _ = load_head(save_head(Least().fit([[1.0], [2.0]], ["b", "a"]), tmp_path / "head"))
    assert type(again) is Least
    assert again.classes_.tolist() == ["a", "b"]
    assert heads.describe()["least"] == "Predicts the least label."


def test_another_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(DamagedFileError) as error:
        load_head(path)
    assert str(error.value) == f"{path} is a safetensors file, but not a model file."
