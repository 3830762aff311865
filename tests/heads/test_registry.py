"""The registry of heads."""

import subprocess
import sys

import pytest

import embedpipe.heads
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.heads import HeadRegistry, get_head, heads


def test_names_and_descriptions_import_no_library():
    code = (
        "import sys, embedpipe.heads as h; print(h.heads.describe()['logistic']);"
        "print([m for m in ('sklearn', 'scipy', 'torch', 'faiss') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == [
        "Multinomial logistic regression that chooses its own regularisation.",
        "[]",
    ]


def test_every_exported_name_exists():
    for name in embedpipe.heads.__all__:
        assert getattr(embedpipe.heads, name) is not None
        assert name in dir(embedpipe.heads)
    with pytest.raises(AttributeError) as error:
        embedpipe.heads.Logistic  # noqa: B018
    assert str(error.value) == "No embedpipe.heads attribute Logistic"


def test_options_are_those_of_the_head():
    assert get_head("ridge", alpha=3.0, normalize=False).get_params() == {
        "alpha": 3.0,
        "class_weight": None,
        "normalize": False,
    }


def test_an_unknown_head():
    with pytest.raises(UnknownNameError) as error:
        heads["logistics"]
    message = str(error.value)
    assert message.startswith("unknown head 'logistics'. Did you mean 'logistic'? Known: ")


def test_an_unknown_option():
    with pytest.raises(UsageError) as error:
        get_head("ridge", Alpha=3.0)
    assert str(error.value) == (
        "unknown option of head 'ridge' 'Alpha'. Did you mean 'alpha'? "
        "Known: alpha, class_weight, normalize."
    )


def test_a_name_cannot_be_registered_twice():
    registry = HeadRegistry("head")
    registry.declare("tree", "sklearn.tree:DecisionTreeClassifier", "A decision tree.")
    with pytest.raises(UsageError) as error:
        registry.declare("tree", "sklearn.tree:ExtraTreeClassifier", "Another.")
    assert str(error.value) == "the head 'tree' is registered already."


def test_a_class_may_be_registered_beside_declared_ones():
    registry = HeadRegistry("head")
    registry.declare("tree", "sklearn.tree:DecisionTreeClassifier", "A decision tree.")

    @registry.register("constant")
    class Constant:
        """Always the same."""

    assert list(registry) == ["tree", "constant"]
    assert registry["constant"] is Constant
    assert registry.name_of(Constant()) == "constant"
    assert registry.describe() == {"tree": "A decision tree.", "constant": "Always the same."}
